"""Free typed trees over numbers per layer and width alone, measured ones among them."""

from primitives._groups import ELEMENTWISE_OPERATORS, MEASURED_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build a set whose formulas touch no tensor: fast to search, dear to measure."""
    return PrimitiveSet(
        "measured_tables",
        "sums over outputs, gradients and curvature and what is measured, one number per layer and "
        "width, of which only formulas count that rescaled layers leave as they are",
        statistics=(
            "parameter_count", "macs", "depth", "bits", "quantization_mse",
            "output_change_energy", "output_residual_energy", "relative_output_change",
            "relative_output_residual", "channel_output_residual", "gradient_output_change",
            "fisher_form", "curvature_form", *MEASURED_STATISTICS,
        ),
        operators=ELEMENTWISE_OPERATORS,
        scale_invariant=True,
    )  # fmt: skip
