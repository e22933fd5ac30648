"""Quantizers of weights and activations, and what is built on them."""

from gp_emq.quantization._integer import integer_convolution_available
from gp_emq.quantization._quantized_network import (
    QuantizedNetwork,
    QuantizedWeight,
    calibrate_activations,
    layer_weight,
    quantize_weights,
)
from gp_emq.quantization._quantizers import ActivationQuantizer, WeightQuantizer
from gp_emq.quantization._scales import SCALE_RULES
from gp_emq.quantization._uniform import (
    MAX_BITS,
    MIN_BITS,
    QuantizationParameters,
    fake_quantize,
    integer_range,
    quantize,
)

__all__ = [
    "MAX_BITS",
    "MIN_BITS",
    "SCALE_RULES",
    "ActivationQuantizer",
    "QuantizationParameters",
    "QuantizedNetwork",
    "QuantizedWeight",
    "WeightQuantizer",
    "calibrate_activations",
    "fake_quantize",
    "integer_convolution_available",
    "integer_range",
    "layer_weight",
    "quantize",
    "quantize_weights",
]
