from ._calibration import Calibrated, calibrate, random_plans
from ._certificate import ACCEPT, REGRESSION, Certificate, Line, certify
from ._names import DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSS, LOSSES
from ._network import MeasuringSettings, PlanNetwork
from ._options import MeasureOptions
from ._planning import MeasuredPlan, measured_plan
from ._race import Difference, mean_of, paired
from ._samples import Answers
from ._search import Found, SearchSettings, halves, search
from ._text import format_calibration, format_certificate, format_search

__all__ = [
    "ACCEPT",
    "DIVERGENCE",
    "HELD_BACK",
    "LEAST_PLANS",
    "LOSS",
    "LOSSES",
    "REGRESSION",
    "Answers",
    "Calibrated",
    "Certificate",
    "Difference",
    "Found",
    "Line",
    "MeasureOptions",
    "MeasuredPlan",
    "MeasuringSettings",
    "PlanNetwork",
    "SearchSettings",
    "calibrate",
    "certify",
    "format_calibration",
    "format_certificate",
    "format_search",
    "halves",
    "mean_of",
    "measured_plan",
    "paired",
    "random_plans",
    "search",
]
