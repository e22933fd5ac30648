"""Ablation: nothing but the weights and what quantization does to them."""

from primitives._groups import BIT_AWARE_OPERATORS
from primitives._primitive_set import PrimitiveSet


def build() -> PrimitiveSet:
    """Build a set that needs no images at all."""
    return PrimitiveSet(
        "weights_only",
        "ablation: weights, their perturbation and sizes only (needs no images)",
        statistics=(
            "weight", "quantization_perturbation", "parameter_count", "macs", "depth", "bits",
            "quantization_mse",
        ),
        operators=BIT_AWARE_OPERATORS,
    )  # fmt: skip
