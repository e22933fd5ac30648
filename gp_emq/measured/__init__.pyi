from ._affordable import affordable
from ._certificate import REGRESSION, Certificate, save_certificate
from ._names import CONTENDERS, DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSSES, REACHES
from ._network import PlanNetwork
from ._options import MeasureOptions
from ._planning import measured_plan, plan_network, winner_of

__all__ = [
    "CONTENDERS",
    "DIVERGENCE",
    "HELD_BACK",
    "LEAST_PLANS",
    "LOSSES",
    "REACHES",
    "REGRESSION",
    "Certificate",
    "MeasureOptions",
    "PlanNetwork",
    "affordable",
    "measured_plan",
    "plan_network",
    "save_certificate",
    "winner_of",
]
