from . import recipes
from ._batch_norm import batch_norms, estimating
from ._blocks import find_blocks
from ._calibration import calibrate_activations, usual_images
from ._inputs import round_input
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
    QuantizedNetwork,
    QuantizedWeight,
    layer_weight,
    quantize_weights,
)
from ._quantizers import ActivationQuantizer, WeightQuantizer
from ._reconstruction import (
    LayerProgress,
    reconstruct_blocks,
    reconstruct_layer,
    reconstructed_blocks,
    weight_owners,
)
from ._recording import Recording, record
from ._rounding import (
    Reconstructed,
    RoundingSettings,
    learn_rounding,
    reconstruction_error,
)
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
    "LayerProgress",
    "LearnedRoundings",
    "QuantizationParameters",
    "QuantizedModel",
    "QuantizedNetwork",
    "QuantizedWeight",
    "Reconstructed",
    "Recording",
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
    "recipes",
    "reconstruct_blocks",
    "reconstruct_layer",
    "reconstructed_blocks",
    "reconstruction_error",
    "record",
    "round_input",
    "usual_images",
    "weight_owners",
]
