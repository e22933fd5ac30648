from ._bench import BenchObjective
from ._equal_cost import EqualCostObjective
from ._mean import MeanObjective
from ._plans import PlanObjective, PlanRanker

__all__ = ["BenchObjective", "EqualCostObjective", "MeanObjective", "PlanObjective", "PlanRanker"]
