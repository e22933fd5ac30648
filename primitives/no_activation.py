"""Ablation: the default set without activations."""

from gp_emq.statistics import Aspect
from primitives._groups import BIT_AWARE_OPERATORS, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set less activations and their gradients."""
    return PrimitiveSet(
        "no_activation",
        "ablation: the default set without activations and their gradients",
        statistics=without(Aspect.ACTIVATION),
        operators=BIT_AWARE_OPERATORS,
    )
