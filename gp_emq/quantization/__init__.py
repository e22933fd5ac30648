"""Quantizers of weights and activations, and what is built on them."""

from gp_emq.quantization._quantizers import ActivationQuantizer, WeightQuantizer
from gp_emq.quantization._scales import SCALE_RULES
from gp_emq.quantization._uniform import (
    QuantizationParameters,
    fake_quantize,
    integer_range,
    quantize,
)

__all__ = [
    "SCALE_RULES",
    "ActivationQuantizer",
    "QuantizationParameters",
    "WeightQuantizer",
    "fake_quantize",
    "integer_range",
    "quantize",
]
