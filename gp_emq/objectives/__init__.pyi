from ._bench import BenchObjective
from ._equal_cost import EqualCostObjective
from ._mean import MeanObjective

__all__ = ["BenchObjective", "EqualCostObjective", "MeanObjective"]
