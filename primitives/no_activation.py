"""Ablation: the default set without activations."""

from primitives._groups import ACTIVATIONS, BIT_AWARE_OPERATORS, BIT_AWARE_STATISTICS, without
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build the default set less activations and their gradients."""
    return PrimitiveSet(
        "no_activation",
        "ablation: the default set without activations and their gradients",
        statistics=without(BIT_AWARE_STATISTICS, ACTIVATIONS),
        operators=BIT_AWARE_OPERATORS,
    )
