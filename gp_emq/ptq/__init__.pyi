from ._accuracy import Measured, Right, accuracy, difference, predictions
from ._inputs import EvaluationInputs, load_evaluation_inputs
from ._quantize import quantize, run_recipe
from ._settings import FLOAT_ACTIVATIONS, QuantizationSettings, planned_activation_bits
from ._text import MethodResult, Report

__all__ = [
    "FLOAT_ACTIVATIONS",
    "EvaluationInputs",
    "Measured",
    "MethodResult",
    "QuantizationSettings",
    "Report",
    "Right",
    "accuracy",
    "difference",
    "load_evaluation_inputs",
    "planned_activation_bits",
    "predictions",
    "quantize",
    "run_recipe",
]
