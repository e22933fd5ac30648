"""How good the configurations are that a formula would pick at each size: what a plan is for."""

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import (
    WINDOW,
    FloatArray,
    KendallRanker,
    PairMask,
    Ranker,
    at_equal_cost,
)
from gp_emq.mqbench import Bench
from gp_emq.objectives._equal_cost import EqualCostObjective

SHARE = 0.5
"""How much picks count by default, beside tau at equal cost."""


class PlanRanker(Ranker):
    """Ranks candidates by tau at equal cost, and by what they pick from each size.

    Each configuration, with those of about its size, is a window. From each window a candidate
    picks the configuration of the highest score; of equal scores, it gets their mean accuracy. Its
    picks are worth ``1 − 2 Σ (best − picked) / Σ (best − worst)``, sums over windows of accuracies:
    1 where it always picks the best, −1 where it always picks the worst, so that windows weigh what
    there is to lose in them.

    A candidate picks in the orientation that its tau asks for, so that a candidate and its negation
    differ by their sign.

    Args:
        accuracies: Measured values of the configurations, higher is better, (n,).
        pairs: Which pairs of configurations are of about equal size, (n, n).
        share: How much picks count, 0 to 1; tau at equal cost has the rest.
    """

    def __init__(self, accuracies: FloatArray, pairs: PairMask, share: float = SHARE) -> None:
        self._accuracies, self._share = accuracies, share
        self._kendall = KendallRanker(accuracies, pairs)
        self._windows: PairMask = pairs | np.eye(len(accuracies), dtype=bool)

    def taus(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        taus = self._kendall.taus(scores)
        directions = _directions(taus)
        picks = np.array(
            [
                self._picks(direction * row, self._windows)
                for direction, row in zip(directions, scores, strict=True)
            ]
        )
        mixed: FloatArray = (1 - self._share) * taus + self._share * directions * picks
        return mixed

    def left_out(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        taus = self._kendall.left_out(scores)
        directions = _directions(taus)
        picks = np.zeros(len(scores))
        for place, direction in enumerate(directions):
            windows = self._windows.copy()
            windows[place] = windows[:, place] = False
            picks[place] = self._picks(direction * scores, windows)
        mixed: FloatArray = (1 - self._share) * taus + self._share * directions * picks
        return mixed

    def _picks(self, scores: FloatArray, windows: PairMask) -> float:
        """Say what the picks of one candidate are worth; 0 where no window leaves a choice."""
        windows = windows[windows.any(axis=1)]
        highest = np.where(windows, scores, -np.inf).max(axis=1, initial=-np.inf)
        picked = windows & (scores == highest[:, None])
        means = (picked @ self._accuracies) / picked.sum(axis=1)
        best = np.where(windows, self._accuracies, -np.inf).max(axis=1, initial=-np.inf)
        worst = np.where(windows, self._accuracies, np.inf).min(axis=1, initial=np.inf)
        at_stake = float((best - worst).sum())
        return 1 - 2 * float((best - means).sum()) / at_stake if at_stake else 0.0


def _directions(taus: FloatArray) -> NDArray[np.float64]:
    return np.where(taus < 0, -1.0, 1.0)


class PlanObjective(EqualCostObjective):
    """Measures formulas by tau at equal cost and by what they pick, see `PlanRanker`.

    Rank among all configurations of one size is not the quality of plans: a budget asks for the
    best of them alone.

    Args:
        bench: The bench.
        costs: Cost of each of its configurations, such as their sizes, (n,).
        window: Costs that differ by less than this share of their range are equal.
        share: How much picks count, 0 to 1; tau at equal cost has the rest.
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
        share: float = SHARE,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(bench, costs, window=window, samples=samples, seed=seed)
        accuracies: FloatArray = np.asarray(bench.oriented, dtype=np.float64)
        pairs = at_equal_cost(costs, window)
        self._rank_training, self._rank_validation = (
            PlanRanker(accuracies[part], pairs[np.ix_(part, part)], share)
            for part in (self._training, self._validation)
        )
