"""Quantizers of weights and activations, and what is built on them."""

from gp_emq.quantization._batch_norm import batch_norms, estimating
from gp_emq.quantization._blocks import find_blocks
from gp_emq.quantization._calibration import calibrate_activations, usual_images
from gp_emq.quantization._inputs import round_input
from gp_emq.quantization._integer import integer_convolution_available
from gp_emq.quantization._learned import LearnedRoundings
from gp_emq.quantization._passes import first_not_finite, passes
from gp_emq.quantization._quantized_model import (
    QuantizedModel,
    ask_for_gradients,
    floating_type,
)
from gp_emq.quantization._quantized_network import (
    QuantizedNetwork,
    QuantizedWeight,
    layer_weight,
    quantize_weights,
)
from gp_emq.quantization._quantizers import (
    INPUT_RULES,
    ActivationQuantizer,
    WeightQuantizer,
)
from gp_emq.quantization._reconstruction import (
    Report,
    reconstruct_blocks,
    reconstruct_layer,
    reconstructed_blocks,
    weight_owners,
)
from gp_emq.quantization._recording import Recording, record
from gp_emq.quantization._rounding import (
    Reconstructed,
    RoundingSettings,
    learn_rounding,
    reconstruction_error,
)
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
    "INPUT_RULES",
    "MAX_BITS",
    "MIN_BITS",
    "SCALE_RULES",
    "ActivationQuantizer",
    "LearnedRoundings",
    "QuantizationParameters",
    "QuantizedModel",
    "QuantizedNetwork",
    "QuantizedWeight",
    "Reconstructed",
    "Recording",
    "Report",
    "RoundingSettings",
    "WeightQuantizer",
    "ask_for_gradients",
    "batch_norms",
    "calibrate_activations",
    "estimating",
    "fake_quantize",
    "find_blocks",
    "first_not_finite",
    "floating_type",
    "integer_convolution_available",
    "integer_range",
    "layer_weight",
    "learn_rounding",
    "passes",
    "quantize",
    "quantize_weights",
    "reconstruct_blocks",
    "reconstruct_layer",
    "reconstructed_blocks",
    "reconstruction_error",
    "record",
    "round_input",
    "usual_images",
    "weight_owners",
]
