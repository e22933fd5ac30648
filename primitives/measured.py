"""Free typed trees over all that is known of a network, measured one entry at a time."""

from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS, MEASURED_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the dear set: two passes over the images for each entry and width."""
    return PrimitiveSet(
        "measured",
        "discovery, and loss and divergence measured with one entry quantized at a time (dear)",
        statistics=(*DISCOVERY_STATISTICS, *MEASURED_STATISTICS),
        operators=BIT_AWARE_OPERATORS,
    )
