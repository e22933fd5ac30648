"""Free typed trees over every statistic, the quantization perturbation included."""

from primitives._groups import BIT_AWARE_OPERATORS, BIT_AWARE_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set: formulas may look at what each width does to the weights."""
    return PrimitiveSet(
        "bit_aware",
        "free typed trees over all statistics, with each width's change (default with a bench)",
        statistics=BIT_AWARE_STATISTICS,
        operators=BIT_AWARE_OPERATORS,
    )
