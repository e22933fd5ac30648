"""EMQ's DAG structure: three nodes that sum unary edges from inputs and earlier nodes."""

from primitives._groups import EMQ_INPUTS, EMQ_UNARY
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set whose only trees are EMQ's DAG genotypes."""
    return PrimitiveSet(
        "dag",
        "EMQ's DAG structure: three nodes summing nine unary edges from two inputs, × bits",
        inputs=EMQ_INPUTS,
        unary_values=EMQ_UNARY,
        operators=("dag",),
        ends_in_bits=True,
    )
