"""Ablation: the default set without curvature."""

from primitives._groups import BIT_AWARE_OPERATORS, BIT_AWARE_STATISTICS, CURVATURE, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set less everything that needs a second derivative."""
    return PrimitiveSet(
        "no_hessian",
        "ablation: the default set without the Hessian (no second derivatives)",
        statistics=without(BIT_AWARE_STATISTICS, CURVATURE),
        operators=BIT_AWARE_OPERATORS,
    )
