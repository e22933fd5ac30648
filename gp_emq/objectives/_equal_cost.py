"""Kendall tau over pairs of configurations that cost about the same: what allocation asks for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gp_emq.correlation import (
    WINDOW,
    FloatArray,
    KendallRanker,
    PairMask,
    Ranker,
    at_equal_cost,
    why_no_pairs,
)
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Bench
from gp_emq.objectives._bench import BenchObjective


@dataclass(frozen=True)
class _Mixture:
    """Ranks as two rankers do together, by the weighted mean of their taus."""

    first: Ranker
    second: Ranker
    weight: float
    """Of the second; the first has the rest."""

    def taus(self, scores: FloatArray) -> FloatArray:
        """Mix the taus of candidates, (candidates, n) to (candidates,)."""
        return self._mixed(self.first.taus(scores), self.second.taus(scores))

    def left_out(self, scores: FloatArray) -> FloatArray:
        """Mix the taus of one candidate with each configuration left out, (n,) to (n,)."""
        return self._mixed(self.first.left_out(scores), self.second.left_out(scores))

    def _mixed(self, first: FloatArray, second: FloatArray) -> FloatArray:
        return (1 - self.weight) * first + self.weight * second


class EqualCostObjective(BenchObjective):
    """Measures formulas as `BenchObjective` does, by the pairs of about equal cost alone.

    A budget leaves the choice between configurations of one size, so that what a formula says of
    configurations of different sizes does not matter to the plans it makes. Pairs of equal cost
    are few, though; with a weight on all pairs these count, too.

    Args:
        bench: The bench.
        costs: Cost of each of its configurations, such as their sizes, (n,).
        window: Costs that differ by less than this share of their range are equal.
        all_pairs: Weight of the tau over all pairs, from 0 to below 1; that over pairs of equal
            cost has the rest.
        samples: How many training configurations to use; all of them if None.
        seed: Which ones.
        ranker: As for `BenchObjective`.

    Raises:
        GpEmqError: No pair of training configurations of equal cost can be ranked, or the weight
            is out of its range.
    """

    def __init__(
        self,
        bench: Bench,
        costs: FloatArray,
        *,
        window: float = WINDOW,
        all_pairs: float = 0.0,
        samples: int | None = None,
        seed: int = 0,
        ranker: Callable[[FloatArray, PairMask | None], Ranker] = KendallRanker,
    ) -> None:
        if not 0 <= all_pairs < 1:
            raise GpEmqError(f"the weight of all pairs must be from 0 to below 1, not {all_pairs}")
        pairs = at_equal_cost(costs, window)
        super().__init__(bench, samples=samples, seed=seed, pairs=pairs, ranker=ranker)
        mask = pairs[np.ix_(self.training, self.training)]
        reason = why_no_pairs(bench.oriented[self.training], mask, "training configurations")
        if reason:
            raise GpEmqError(f"bench {bench.name!r} gives no fitness at equal cost: {reason}")
        if all_pairs:
            plain = BenchObjective(bench, samples=samples, seed=seed)
            self._rank_training, self._rank_validation = (
                _Mixture(own, other, all_pairs)
                for own, other in (
                    (self._rank_training, plain._rank_training),
                    (self._rank_validation, plain._rank_validation),
                )
            )
