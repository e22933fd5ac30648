"""Names of operators and statistics that several primitive sets share."""

CURVATURE = ("hessian_gradient", "hessian_diagonal", "hessian_trace", "hessian_top_eigenvalue")
GRADIENTS = (
    "weight_gradient", "virtual_gradient", "synflow_gradient", "fisher_diagonal",
    "gradient_times_weight", "activation_gradient", "gradient_times_activation",
)  # fmt: skip
ACTIVATIONS = ("activation", "activation_gradient", "gradient_times_activation")
BIT_AWARE_STATISTICS = (
    "weight", "weight_gradient", "virtual_gradient", "synflow_gradient", "hessian_gradient",
    "hessian_diagonal", "fisher_diagonal", "quantization_perturbation", "activation",
    "activation_gradient", "hessian_trace", "hessian_top_eigenvalue", "parameter_count", "macs",
    "depth", "bits", "quantization_mse",
)  # fmt: skip
BIT_AWARE_OPERATORS = (
    "abs", "negate", "sign", "square", "sqrt", "reciprocal", "log", "log_abs", "exp", "relu",
    "sigmoid", "power",
    "add", "subtract", "multiply", "divide",
    "softmax", "z_normalise", "min_max",
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


def without(names: tuple[str, ...], excluded: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out some names, keeping the order of the rest."""
    return tuple(name for name in names if name not in excluded)
