"""What a search may maximise: how well a formula ranks the accuracies of one bench, or of many."""

from gp_emq.objectives._bench import BenchObjective
from gp_emq.objectives._equal_cost import EqualCostObjective
from gp_emq.objectives._mean import MeanObjective

__all__ = ["BenchObjective", "EqualCostObjective", "MeanObjective"]
