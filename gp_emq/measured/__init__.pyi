from ._certificate import REGRESSION, Certificate
from ._names import DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSSES, REACHES
from ._options import MeasureOptions
from ._planning import MeasuredPlan, measured_plan

__all__ = [
    "DIVERGENCE",
    "HELD_BACK",
    "LEAST_PLANS",
    "LOSSES",
    "REACHES",
    "REGRESSION",
    "Certificate",
    "MeasureOptions",
    "MeasuredPlan",
    "measured_plan",
]
