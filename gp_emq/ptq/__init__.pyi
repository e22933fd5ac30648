from ._accuracy import Measured, change, measured
from ._norms import told_of_statistics, with_own_statistics
from ._planned import planned_activation_bits, planned_granularity
from ._quantize import quantize, run_recipe
from ._rounding import rounding_of
from ._settings import QuantizationSettings
from ._task import make_task, roundings_identity
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
    "planned_granularity",
    "quantize",
    "rounding_of",
    "roundings_identity",
    "run_recipe",
    "told_of_statistics",
    "with_own_statistics",
]
