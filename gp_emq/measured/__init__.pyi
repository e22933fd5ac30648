from ._affordable import affordable
from ._best import best_plan
from ._certificate import REGRESSION, Certificate, save_certificate
from ._contenders import contenders
from ._names import CONTENDERS, DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSSES, REACHES
from ._network import PlanNetwork
from ._objective import SHARE, MeasuredPlanObjective, with_plans
from ._options import MeasureOptions
from ._planning import MeasuredPlan, measured_plan, plan_network
from ._winner import Winner, winner_of
from ._worth import BenchPlans

__all__ = [
    "CONTENDERS",
    "DIVERGENCE",
    "HELD_BACK",
    "LEAST_PLANS",
    "LOSSES",
    "REACHES",
    "REGRESSION",
    "SHARE",
    "BenchPlans",
    "Certificate",
    "MeasureOptions",
    "MeasuredPlan",
    "MeasuredPlanObjective",
    "PlanNetwork",
    "Winner",
    "affordable",
    "best_plan",
    "contenders",
    "measured_plan",
    "plan_network",
    "save_certificate",
    "winner_of",
    "with_plans",
]
