"""EMQ's sequential structure: a chain of four unary operators and a mean."""

from primitives._groups import EMQ_INPUTS, EMQ_UNARY
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set whose only trees are EMQ's sequential genotypes."""
    return PrimitiveSet(
        "sequential",
        "EMQ's sequential structure: the mean of four chained unary operators, × bits",
        inputs=EMQ_INPUTS,
        unary_values=EMQ_UNARY,
        operators=("sequential",),
        ends_in_bits=True,
    )
