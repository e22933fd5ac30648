"""Free typed trees over all that is known of a network short of quantizing it layer by layer."""

from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set for searches over several benches.

    Beside what the default sees it has what quantizing a layer does to its output, and gradients
    at the networks with all layers at the lowest and at the middle width.
    """
    return PrimitiveSet(
        "discovery",
        "bit_aware, what quantization does to the layers' outputs, and gradients once quantized",
        statistics=DISCOVERY_STATISTICS,
        operators=BIT_AWARE_OPERATORS,
    )
