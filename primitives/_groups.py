"""Names of operators and statistics that several primitive sets share."""

from gp_emq.statistics import Aspect
from primitives._catalogue import STATISTICS

BIT_AWARE_STATISTICS = (
    "weight", "weight_gradient", "virtual_gradient", "synflow_gradient", "hessian_gradient",
    "hessian_diagonal", "fisher_diagonal", "quantization_perturbation", "activation",
    "activation_gradient", "hessian_trace", "hessian_top_eigenvalue", "parameter_count", "macs",
    "depth", "bits", "quantization_mse",
)  # fmt: skip
OUTPUT_STATISTICS = (
    "output_change", "output_residual", "output_change_energy", "output_residual_energy",
    "relative_output_change", "relative_output_residual", "channel_output_residual",
    "gradient_output_change", "fisher_form", "curvature_form",
)  # fmt: skip
QUANTIZED_STATISTICS = (
    "weight_gradient_low", "fisher_diagonal_low", "activation_gradient_low",
    "divergence_gradient_low", "weight_gradient_middle", "fisher_diagonal_middle",
    "activation_gradient_middle", "divergence_gradient_middle",
)  # fmt: skip
MEASURED_STATISTICS = (
    "measured_loss", "measured_divergence", "measured_loss_low", "measured_divergence_low",
    "recipe_divergence", "recipe_divergence_low",
)  # fmt: skip
DISCOVERY_STATISTICS = (*BIT_AWARE_STATISTICS, *OUTPUT_STATISTICS, *QUANTIZED_STATISTICS)
ELEMENTWISE_OPERATORS = (
    "abs", "negate", "sign", "square", "sqrt", "reciprocal", "log", "log_abs", "exp", "relu",
    "sigmoid", "power",
    "add", "subtract", "multiply", "divide",
    "softmax", "z_normalise", "min_max",
)  # fmt: skip
BIT_AWARE_OPERATORS = (
    *ELEMENTWISE_OPERATORS,
    "mean", "sum", "l1_mean", "frobenius_norm", "standard_deviation", "minimum", "maximum",
    "mse", "cosine_similarity",
    "gram", "log_determinant",
)  # fmt: skip
EMQ_INPUTS = (
    "activation", "weight_gradient", "virtual_gradient", "weight", "hessian_diagonal",
    "gradient_times_activation", "gradient_times_weight",
)  # fmt: skip
EMQ_UNARY = (
    "log", "log_abs", "abs", "square", "exp", "z_normalise", "relu", "reciprocal",
    "frobenius_norm", "mean", "l1_mean", "softmax", "sigmoid", "log_softmax", "sqrt", "negate",
    "min_max", "standard_deviation", "identity", "sign", "log_determinant", "gram", "minimum",
    "maximum", "variance", "row_distances", "leaky_relu", "mish", "swish", "sum",
)  # fmt: skip
EMQ_BINARY = (
    "add", "subtract", "multiply", "matrix_product", "less", "greater", "equal",
    "hamming_distance", "kl_divergence", "cosine_similarity", "pairwise_distance", "l1_distance",
    "mse",
)  # fmt: skip
EMQ_TREE_OPERATORS = (*(name for name in EMQ_UNARY if name != "identity"), *EMQ_BINARY)


def without(*aspects: Aspect, of: tuple[str, ...] = BIT_AWARE_STATISTICS) -> tuple[str, ...]:
    """Give statistics, by default the default set's, but for those that need some aspect."""
    return tuple(name for name in of if not STATISTICS[name].aspects & {*aspects})
