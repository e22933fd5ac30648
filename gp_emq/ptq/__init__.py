"""Post-training quantization: from a network and a plan to a quantized network and its file."""

from gp_emq.ptq._accuracy import Measured, Right, accuracy, difference, predictions
from gp_emq.ptq._file import (
    QuantizationRecord,
    load_quantized,
    read_record,
    save_quantized,
)
from gp_emq.ptq._inputs import EvaluationInputs, load_evaluation_inputs
from gp_emq.ptq._quantize import quantize, run_recipe
from gp_emq.ptq._settings import FLOAT_ACTIVATIONS, QuantizationSettings

__all__ = [
    "FLOAT_ACTIVATIONS",
    "EvaluationInputs",
    "Measured",
    "QuantizationRecord",
    "QuantizationSettings",
    "Right",
    "accuracy",
    "difference",
    "load_evaluation_inputs",
    "load_quantized",
    "predictions",
    "quantize",
    "read_record",
    "run_recipe",
    "save_quantized",
]
