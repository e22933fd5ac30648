"""Ablation: the default set without curvature."""

from gp_emq.statistics import Aspect
from primitives._groups import BIT_AWARE_OPERATORS, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set less everything that needs a second derivative."""
    return PrimitiveSet(
        "no_hessian",
        "ablation: the default set without the Hessian (no second derivatives)",
        statistics=without(Aspect.CURVATURE),
        operators=BIT_AWARE_OPERATORS,
    )
