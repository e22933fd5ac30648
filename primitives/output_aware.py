"""Free typed trees over the default set's statistics and what quantization does to outputs."""

from primitives._groups import BIT_AWARE_OPERATORS, BIT_AWARE_STATISTICS, OUTPUT_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set that looks at the float network, and at one layer quantized at a time."""
    return PrimitiveSet(
        "output_aware",
        "bit_aware, and what quantizing a layer does to its outputs",
        statistics=(*BIT_AWARE_STATISTICS, *OUTPUT_STATISTICS),
        operators=BIT_AWARE_OPERATORS,
    )
