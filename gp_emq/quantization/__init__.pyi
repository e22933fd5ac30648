from . import recipes
from ._batch_norm import batch_norms, estimating
from ._calibration import calibrate_activations, grids_by_name, usual_images
from ._integer import integer_convolution_available
from ._learned import LearnedRoundings
from ._names import INPUT_RULES, MAX_BITS, MIN_BITS, ROBUST, SCALE_RULES
from ._passes import first_not_finite, passes
from ._quantized_model import (
    QuantizedModel,
    ask_for_gradients,
    floating_type,
)
from ._quantized_network import (
    Corrections,
    QuantizedNetwork,
    QuantizedWeight,
    layer_weight,
    quantize_weights,
)
from ._quantizers import ActivationQuantizer, WeightQuantizer
from ._rounding import RoundingSettings
from ._uniform import (
    QuantizationParameters,
    fake_quantize,
    integer_range,
    quantize,
)

__all__ = [
    "INPUT_RULES",
    "MAX_BITS",
    "MIN_BITS",
    "ROBUST",
    "SCALE_RULES",
    "ActivationQuantizer",
    "Corrections",
    "LearnedRoundings",
    "QuantizationParameters",
    "QuantizedModel",
    "QuantizedNetwork",
    "QuantizedWeight",
    "RoundingSettings",
    "WeightQuantizer",
    "ask_for_gradients",
    "batch_norms",
    "calibrate_activations",
    "estimating",
    "fake_quantize",
    "first_not_finite",
    "floating_type",
    "grids_by_name",
    "integer_convolution_available",
    "integer_range",
    "layer_weight",
    "passes",
    "quantize",
    "quantize_weights",
    "recipes",
    "usual_images",
]
