from ._accuracy import Measured, Right, accuracy, difference, predictions
from ._file import (
    QuantizationRecord,
    load_quantized,
    read_record,
    save_quantized,
)
from ._inputs import EvaluationInputs, load_evaluation_inputs
from ._methods import METHODS, Method, find_method
from ._quantize import quantize, run_method
from ._settings import FLOAT_ACTIVATIONS, QuantizationSettings
from ._task import Counter, Progress, Task

__all__ = [
    "FLOAT_ACTIVATIONS",
    "METHODS",
    "Counter",
    "EvaluationInputs",
    "Measured",
    "Method",
    "Progress",
    "QuantizationRecord",
    "QuantizationSettings",
    "Right",
    "Task",
    "accuracy",
    "difference",
    "find_method",
    "load_evaluation_inputs",
    "load_quantized",
    "predictions",
    "quantize",
    "read_record",
    "run_method",
    "save_quantized",
]
