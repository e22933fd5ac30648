"""Post-training quantization: from a network and a plan to a quantized network and its file."""

from gp_emq.ptq._accuracy import Measured, Right, accuracy, difference, predictions
from gp_emq.ptq._file import (
    QuantizationRecord,
    load_quantized,
    read_record,
    save_quantized,
)
from gp_emq.ptq._inputs import EvaluationInputs, load_evaluation_inputs
from gp_emq.ptq._methods import METHODS, Method, find_method
from gp_emq.ptq._quantize import quantize, run_method
from gp_emq.ptq._settings import FLOAT_ACTIVATIONS, QuantizationSettings, planned_activation_bits
from gp_emq.ptq._task import Counter, Progress, Task

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
    "planned_activation_bits",
    "predictions",
    "quantize",
    "read_record",
    "run_method",
    "save_quantized",
]
