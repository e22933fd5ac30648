"""EMQ's branched structure: two chains of two unary operators, joined by a binary one."""

from primitives._groups import EMQ_BINARY, EMQ_INPUTS, EMQ_UNARY
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set whose only trees are EMQ's branched genotypes."""
    return PrimitiveSet(
        "branched",
        "EMQ's branched structure: two chains of two unary operators joined by a binary, × bits",
        inputs=EMQ_INPUTS,
        unary_values=EMQ_UNARY,
        binary_values=EMQ_BINARY,
        operators=("branched",),
        ends_in_bits=True,
    )
