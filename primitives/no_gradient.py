"""Ablation: the default set without gradients."""

from gp_emq.statistics import Aspect
from primitives._groups import BIT_AWARE_OPERATORS, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set less everything that needs a derivative of any order."""
    return PrimitiveSet(
        "no_gradient",
        "ablation: the default set without derivatives (a forward pass is enough)",
        statistics=without(Aspect.GRADIENT, Aspect.CURVATURE),
        operators=BIT_AWARE_OPERATORS,
    )
