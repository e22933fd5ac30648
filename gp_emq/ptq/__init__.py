"""Post-training quantization: from a network and a plan to a quantized network."""

from gp_emq.ptq._accuracy import Measured, Right, accuracy, difference, predictions
from gp_emq.ptq._inputs import EvaluationInputs, load_evaluation_inputs
from gp_emq.ptq._quantize import quantize, run_recipe
from gp_emq.ptq._settings import FLOAT_ACTIVATIONS, QuantizationSettings, planned_activation_bits

__all__ = [
    "FLOAT_ACTIVATIONS",
    "EvaluationInputs",
    "Measured",
    "QuantizationSettings",
    "Right",
    "accuracy",
    "difference",
    "load_evaluation_inputs",
    "planned_activation_bits",
    "predictions",
    "quantize",
    "run_recipe",
]
