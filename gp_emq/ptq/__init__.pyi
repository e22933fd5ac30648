from ._accuracy import Measured, Right, Values, accuracy, change, difference, measured
from ._quantize import make_task, quantize, run_recipe
from ._settings import FLOAT_ACTIVATIONS, QuantizationSettings, planned_activation_bits
from ._text import MethodResult, Report

__all__ = [
    "FLOAT_ACTIVATIONS",
    "Measured",
    "MethodResult",
    "QuantizationSettings",
    "Report",
    "Right",
    "Values",
    "accuracy",
    "change",
    "difference",
    "make_task",
    "measured",
    "planned_activation_bits",
    "quantize",
    "run_recipe",
]
