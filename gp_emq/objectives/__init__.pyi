from ._bench import BenchObjective
from ._dear import measure_above
from ._equal_cost import EqualCostObjective
from ._mean import MeanObjective
from ._plans import PlanObjective, PlanRanker
from ._source import BenchSource, bench_sha256, objective_of

__all__ = [
    "BenchObjective",
    "BenchSource",
    "EqualCostObjective",
    "MeanObjective",
    "PlanObjective",
    "PlanRanker",
    "bench_sha256",
    "measure_above",
    "objective_of",
]
