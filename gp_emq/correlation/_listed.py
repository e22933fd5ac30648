"""Kendall's tau-b over some of the pairs alone, which are looked at one by one."""

import numpy as np

from gp_emq.correlation._pairs import PairMask
from gp_emq.correlation._scores import FloatArray


class ListedPairs:
    """Ranks candidates by the pairs that count, the configuration of higher accuracy first.

    Of pairs at equal cost there are so few that looking at each is faster than counting all.

    Args:
        accuracies: Measured top-1 of the configurations, (n,).
        pairs: Which pairs count, symmetric (n, n).
    """

    def __init__(self, accuracies: FloatArray, pairs: PairMask) -> None:
        one, other = np.nonzero(np.triu(pairs))
        swapped = accuracies[one] < accuracies[other]
        one, other = np.where(swapped, other, one), np.where(swapped, one, other)
        tied = accuracies[one] == accuracies[other]
        order = np.argsort(tied, kind="stable")
        self._better, self._worse = one[order], other[order]
        self._untied = int(np.count_nonzero(~tied))
        self._count = len(accuracies)

    def taus(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of each candidate, (candidates, n) to (candidates,)."""
        counts = np.zeros((len(scores), 2))
        for place, row in enumerate(scores):
            better, worse = row.take(self._better), row.take(self._worse)
            right, wrong = better > worse, better < worse
            counts[place] = (
                np.count_nonzero(right[: self._untied]) - np.count_nonzero(wrong[: self._untied]),
                np.count_nonzero(right) + np.count_nonzero(wrong),
            )
        return _ratio(counts[:, 0], counts[:, 1], np.full(len(scores), float(self._untied)))

    def left_out(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of one candidate with each configuration left out in turn, (n,) to (n,)."""
        by_score = np.sign(scores[self._better] - scores[self._worse])
        by_accuracy = (np.arange(len(by_score)) < self._untied).astype(np.float64)
        agreement, untied, untied_others = (
            values.sum() - self._of_each(values)
            for values in (by_score * by_accuracy, np.abs(by_score), by_accuracy)
        )
        return _ratio(agreement, untied, untied_others)

    def _of_each(self, values: FloatArray) -> FloatArray:
        """Sum over the pairs of each configuration, (pairs,) to (n,)."""
        both = np.concatenate([self._better, self._worse])
        return np.bincount(both, np.tile(values, 2), self._count).astype(np.float64)


def _ratio(difference: FloatArray, untied: FloatArray, untied_others: FloatArray) -> FloatArray:
    """Give tau-b from counts of pairs; 0 where a side is constant."""
    scale = np.sqrt(untied * untied_others)
    taus: FloatArray = np.divide(difference, scale, out=np.zeros(len(scale)), where=scale > 0)
    return taus
