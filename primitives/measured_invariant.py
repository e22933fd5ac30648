"""Free typed trees over all that can be measured of a network and that rescaled layers keep."""

from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS, MEASURED_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the dear set of which no rescaling of a layer before a batch norm changes a formula."""
    return PrimitiveSet(
        "measured_invariant",
        "of measured what rescaled layers leave as it is (dear; default where no bench is named)",
        statistics=(*DISCOVERY_STATISTICS, *MEASURED_STATISTICS),
        operators=BIT_AWARE_OPERATORS,
        scale_invariant=True,
    )
