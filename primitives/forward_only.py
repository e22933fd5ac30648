"""Free typed trees over what a forward pass sees, layers' output changes included."""

from gp_emq.statistics import Aspect
from primitives._groups import BIT_AWARE_OPERATORS, DISCOVERY_STATISTICS, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the set `invariant` less everything that needs a derivative of any order."""
    return PrimitiveSet(
        "forward_only",
        "invariant without derivatives: a forward pass is enough",
        statistics=without(Aspect.GRADIENT, Aspect.CURVATURE, of=DISCOVERY_STATISTICS),
        operators=BIT_AWARE_OPERATORS,
        scale_invariant=True,
    )
