"""Free typed trees over all that is known of a network short of quantizing it layer by layer."""

from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set for searches over several benches: it also sees what outputs become."""
    return PrimitiveSet(
        "discovery",
        "bit_aware and what quantization does to the layers' outputs",
        statistics=DISCOVERY_STATISTICS,
        operators=BIT_AWARE_OPERATORS,
    )
