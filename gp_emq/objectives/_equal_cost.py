"""Kendall tau over pairs of configurations that cost about the same: what allocation asks for."""

import numpy as np

from gp_emq.correlation import WINDOW, FloatArray, at_equal_cost, why_no_pairs
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Bench
from gp_emq.objectives._bench import BenchObjective


class EqualCostObjective(BenchObjective):
    """Measures formulas as `BenchObjective` does, by the pairs of about equal cost alone.

    A budget leaves the choice between configurations of one size, so that what a formula says of
    configurations of different sizes does not matter to the plans it makes.

    Args:
        bench: The bench.
        costs: Cost of each of its configurations, such as their sizes, (n,).
        window: Costs that differ by less than this share of their range are equal.
        samples: How many training configurations to use; all of them if None.
        seed: Which ones.

    Raises:
        GpEmqError: No pair of training configurations of equal cost can be ranked.
    """

    def __init__(
        self,
        bench: Bench,
        costs: FloatArray,
        *,
        window: float = WINDOW,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        pairs = at_equal_cost(costs, window)
        super().__init__(bench, samples=samples, seed=seed, pairs=pairs)
        mask = pairs[np.ix_(self.training, self.training)]
        reason = why_no_pairs(bench.oriented[self.training], mask, "training configurations")
        if reason:
            raise GpEmqError(f"bench {bench.name!r} gives no fitness at equal cost: {reason}")
