"""How good the configurations are that a formula would pick at each size: what a plan is for."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import WINDOW, FloatArray, KendallRanker, PairMask, Ranker
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
        pairs: Which pairs of configurations are of about equal size, (n, n); all of them if None.
        share: How much picks count, 0 to 1; tau at equal cost has the rest.
    """

    def __init__(
        self, accuracies: FloatArray, pairs: PairMask | None, share: float = SHARE
    ) -> None:
        self._accuracies, self._share = accuracies, share
        self._kendall = KendallRanker(accuracies, pairs)
        count = len(accuracies)
        near = np.ones((count, count), dtype=bool) if pairs is None else pairs
        self._windows: PairMask = near | np.eye(count, dtype=bool)
        self._best = _picked(self._windows, accuracies, accuracies)
        self._worst = _picked(self._windows, -accuracies, accuracies)

    def taus(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        taus = self._kendall.taus(scores)
        directions = _directions(taus)
        worth = np.array(
            [
                self._worth(direction * row)[-1]
                for direction, row in zip(directions, scores, strict=True)
            ]
        )
        mixed: FloatArray = (1 - self._share) * taus + self._share * directions * worth
        return mixed

    def left_out(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        taus = self._kendall.left_out(scores)
        directions = _directions(taus)
        worth = np.zeros(len(scores))
        for direction in np.unique(directions):
            own = directions == direction
            worth[own] = self._worth(direction * scores)[:-1][own]
        mixed: FloatArray = (1 - self._share) * taus + self._share * directions * worth
        return mixed

    def _worth(self, scores: FloatArray) -> FloatArray:
        """Say what the picks of one candidate are worth, as `_picked` lays them out.

        They are worth 0 where no window leaves a choice.
        """
        lost = self._best - _picked(self._windows, scores, self._accuracies)
        at_stake = self._best - self._worst
        some = at_stake > 1e-12
        worth: FloatArray = np.where(some, 1 - 2 * lost / np.where(some, at_stake, 1), 0.0)
        return worth


def _picked(windows: PairMask, scores: FloatArray, values: FloatArray) -> FloatArray:
    """Add up the values of what is picked from each window, by the highest score.

    Args:
        windows: The members of each window, the one that it is of among them, (n, n).
        scores: (n,).
        values: Of equal scores, the mean of their values counts, (n,).

    Returns:
        With each configuration left out, and its window, in turn; last with none, (n + 1,).
    """
    first, among_first = _tops(windows, scores)
    second, among_second = _tops(windows & ~first, scores)
    count, total = among_first[:, None], (first @ values)[:, None]
    next_best = (second @ values / np.maximum(among_second, 1))[:, None]
    means = total / count
    without = np.where(count > 1, (total - values) / np.maximum(count - 1, 1), next_best)
    changes = np.where(first, without - means, 0.0)
    np.fill_diagonal(changes, 0.0)
    whole = means.sum()
    return np.append(whole - means[:, 0] + changes.sum(axis=0), whole)


def _tops(windows: PairMask, scores: FloatArray) -> tuple[PairMask, NDArray[np.intp]]:
    """Mark the members of each window that have its highest score, and count them."""
    highest = np.where(windows, scores, -np.inf).max(axis=1, initial=-np.inf)
    tops: PairMask = windows & (scores == highest[:, None])
    return tops, tops.sum(axis=1)


def _directions(taus: FloatArray) -> FloatArray:
    directions: FloatArray = np.where(taus < 0, -1.0, 1.0)
    return directions


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
        super().__init__(
            bench,
            costs,
            window=window,
            samples=samples,
            seed=seed,
            ranker=partial(PlanRanker, share=share),
        )
