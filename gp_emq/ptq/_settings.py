"""What the user may choose about post-training quantization."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gp_emq.errors import QuantizationError
from gp_emq.quantization import (
    INPUT_RULES,
    MAX_BITS,
    MIN_BITS,
    ROBUST,
    ActivationQuantizer,
    WeightQuantizer,
)

_MOST = 2**63 - 1
"""Largest seed of torch's generators."""
FLOAT_ACTIVATIONS = 32
"""Bits of activations that are not quantized."""


@dataclass(frozen=True)
class QuantizationSettings:
    """How a network is quantized, beside the plan and the method.

    Attributes:
        weights: Quantizer of the weights; by default one scale per output channel, of least
            squared error.
        activation_bits: Width of the inputs of the quantized layers, on one asymmetric grid per
            layer; 32 leaves them in float.
        activation_rule: How those grids are chosen from the images: `"robust"` spans the inputs of
            a layer but for outliers, `"percentile"` leaves 0.1 % on either side out, `"mse"` has
            the least squared error, `"minmax"` spans all there is. Images with values 20 times as
            large as in the middle one of them are used by `"minmax"` alone.
        iterations: Steps of learned rounding; None for the method's own number.
        seed: Of the order of images in learned rounding.

    Raises:
        QuantizationError: A number is out of its range.
    """

    weights: WeightQuantizer = field(default_factory=lambda: WeightQuantizer(per_channel=True))
    activation_bits: int = 8
    iterations: int | None = None
    seed: int = 0
    activation_rule: str = ROBUST

    def __post_init__(self) -> None:
        allowed = (*range(MIN_BITS, MAX_BITS + 1), FLOAT_ACTIVATIONS)
        if self.activation_bits not in allowed:
            raise QuantizationError(
                f"activation bits must be {MIN_BITS} to {MAX_BITS}, or {FLOAT_ACTIVATIONS} for "
                f"float, not {self.activation_bits}"
            )
        if self.activation_rule not in INPUT_RULES:
            raise QuantizationError(
                f"the rule for activations must be one of {', '.join(INPUT_RULES)}, not "
                f"{self.activation_rule!r}"
            )
        if self.iterations is not None:
            _check("iterations", self.iterations, 1)
        _check("seed", self.seed, 0)

    @property
    def activations(self) -> ActivationQuantizer | None:
        """Quantizer of the inputs of layers, None where they stay in float."""
        if self.activation_bits == FLOAT_ACTIVATIONS:
            return None
        return ActivationQuantizer(bits=self.activation_bits, scale_rule=self.activation_rule)

    def document(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self) | {"weights": self.weights.document()}


def _check(what: str, value: object, least: int) -> None:
    """Refuse what is no whole number that torch takes."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise QuantizationError(f"{what} must be a whole number, not {value!r}")
    if not least <= value <= _MOST:
        bound = f"at least {least}" if value < least else f"at most {_MOST}"
        raise QuantizationError(f"{what} must be {bound}, not {value}")
