from ._accuracy import Measured, change, measured
from ._quantize import make_task, quantize, run_recipe
from ._settings import QuantizationSettings, planned_activation_bits
from ._text import MethodResult, Report

__all__ = [
    "Measured",
    "MethodResult",
    "QuantizationSettings",
    "Report",
    "change",
    "make_task",
    "measured",
    "planned_activation_bits",
    "quantize",
    "run_recipe",
]
