"""What the user may choose about post-training quantization."""

from dataclasses import asdict, dataclass, field
from typing import Any

from gp_emq.errors import QuantizationError
from gp_emq.quantization import MAX_BITS, MIN_BITS, ActivationQuantizer, WeightQuantizer

FLOAT_ACTIVATIONS = 32
"""Bits of activations that are not quantized."""


@dataclass(frozen=True)
class QuantizationSettings:
    """How a network is quantized, beside the plan and the method.

    Attributes:
        weights: Quantizer of the weights; by default one scale per output channel, of least
            squared error.
        activation_bits: Width of the inputs of the quantized layers, on one asymmetric grid per
            layer that spans the range over the images; 32 leaves them in float.
        iterations: Steps of learned rounding; None for the method's own number.
        seed: Of the order of images in learned rounding.

    Raises:
        QuantizationError: A number is out of its range.
    """

    weights: WeightQuantizer = field(default_factory=lambda: WeightQuantizer(per_channel=True))
    activation_bits: int = 8
    iterations: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = (*range(MIN_BITS, MAX_BITS + 1), FLOAT_ACTIVATIONS)
        if self.activation_bits not in allowed:
            raise QuantizationError(
                f"activation bits must be {MIN_BITS} to {MAX_BITS}, or {FLOAT_ACTIVATIONS} for "
                f"float, not {self.activation_bits}"
            )
        if self.iterations is not None and self.iterations < 1:
            raise QuantizationError(f"iterations must be at least 1, not {self.iterations}")
        if self.seed < 0:
            raise QuantizationError(f"seed must be at least 0, not {self.seed}")

    @property
    def activations(self) -> ActivationQuantizer | None:
        """Quantizer of the inputs of layers, None where they stay in float."""
        if self.activation_bits == FLOAT_ACTIVATIONS:
            return None
        return ActivationQuantizer(bits=self.activation_bits)

    def document(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)
