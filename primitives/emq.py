"""Free typed trees over the inputs and operators of the EMQ paper."""

from primitives._groups import EMQ_INPUTS, EMQ_TREE_OPERATORS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set of classical proxies: one number per entry, times the bits."""
    return PrimitiveSet(
        "emq",
        "free typed trees over the EMQ paper's inputs and operators, one number per entry × bits",
        statistics=EMQ_INPUTS,
        operators=EMQ_TREE_OPERATORS,
        ends_in_bits=True,
    )
