"""Free typed trees that no rescaling of a layer before a batch norm changes."""

from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set whose formulas look at nothing that the network's function does not."""
    return PrimitiveSet(
        "invariant",
        "discovery, of which only formulas count that rescaled layers leave as they are",
        statistics=DISCOVERY_STATISTICS,
        operators=BIT_AWARE_OPERATORS,
        scale_invariant=True,
    )
