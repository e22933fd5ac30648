"""Kendall's tau-b of a whole population against one set of accuracies, exactly."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation._listed import ListedPairs
from gp_emq.correlation._pairs import PairMask
from gp_emq.correlation._scores import FloatArray

BitArray = NDArray[np.uint64]

_WORD = 64
_CHUNK = 16
"""Candidates done side by side; more no longer fit the cache."""


class Ranker(Protocol):
    """Ranks candidates against fixed accuracies."""

    def taus(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of each candidate.

        Args:
            scores: (candidates, n), finite.

        Returns:
            (candidates,); 0 where either side is constant, or no pair counts.
        """

    def left_out(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of one candidate with each configuration left out in turn, exactly.

        Args:
            scores: (n,), finite.

        Returns:
            (n,); 0 where either side is constant without it.
        """


class KendallRanker(Ranker):
    """Ranks candidates against fixed accuracies by counting pairs.

    Args:
        accuracies: Measured top-1 of the configurations, (n,).
        pairs: Which pairs of configurations count, symmetric (n, n), see `at_equal_cost`; None for
            all. The tau is ``(concordant − discordant) / √(pairs untied by score · pairs untied by
            accuracy)``, of those alone.
    """

    def __init__(self, accuracies: FloatArray, pairs: PairMask | None = None) -> None:
        self._way: Ranker = (
            _AllPairs(accuracies) if pairs is None else ListedPairs(accuracies, pairs)
        )

    def taus(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        return self._way.taus(scores)

    def left_out(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        return self._way.left_out(scores)


class _AllPairs:
    """Counts concordant pairs in bit sets.

    Which configurations are better, and which are worse, than each one is packed into bits once.
    For a candidate, configurations are visited in order of score; the set of those visited before
    grows bit by bit, and its intersection with the packed sets counts concordant and discordant
    pairs 64 at a time. Ties on either side belong to neither.
    """

    def __init__(self, accuracies: FloatArray) -> None:
        better = accuracies[:, None] > accuracies[None, :]
        self._count = len(accuracies)
        self._beats = _packed(better)
        self._beaten_by = _packed(better.T)
        self._untied = int(np.count_nonzero(better))
        self._untied_others = np.count_nonzero(better | better.T, axis=1).astype(np.float64)
        self._single = _packed(np.eye(self._count, dtype=bool))

    def taus(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        chunks = [
            self._chunk(scores[start : start + _CHUNK]) for start in range(0, len(scores), _CHUNK)
        ]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def left_out(self, scores: FloatArray) -> FloatArray:
        """See `Ranker`."""
        order, lower, visited = self._in_order(scores[None])
        order, lower = order[:, 0], lower[:, 0]
        # Those with a strictly higher score begin where the group of equal scores ends.
        upper = np.append(lower[1:][lower[1:] > lower[:-1]], self._count)
        upper = upper[np.searchsorted(upper, lower, side="right")]
        below, above = visited[lower, 0], visited[-1] & ~visited[upper, 0]
        beats, beaten_by = self._beats[order], self._beaten_by[order]
        agreeing = _bits((below & beats) | (above & beaten_by), 1)
        agreeing -= _bits((below & beaten_by) | (above & beats), 1)
        concordance, untied = np.empty((2, self._count))
        concordance[order], untied[order] = agreeing, self._count - upper + lower
        # Sums over ordered pairs; leaving i out takes away row i and column i.
        numerator, left, right = (
            of_each.sum() - 2 * of_each for of_each in (concordance, untied, self._untied_others)
        )
        denominator = np.sqrt(left * right)
        taus: FloatArray = np.divide(
            numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
        )
        return taus

    def _chunk(self, scores: FloatArray) -> FloatArray:
        order, lower, visited = self._in_order(scores)
        below = visited[lower, np.arange(len(scores))]
        concordant = _bits(below & self._beats[order], (0, 2))
        discordant = _bits(below & self._beaten_by[order], (0, 2))
        untied = lower.sum(axis=0, dtype=np.float64)
        pairs = np.sqrt(untied * self._untied)
        difference = (concordant - discordant).astype(np.float64)
        taus: FloatArray = np.divide(difference, pairs, out=np.zeros(len(scores)), where=pairs > 0)
        return taus

    def _in_order(self, scores: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp], BitArray]:
        """Visit configurations in order of score.

        Args:
            scores: (candidates, n).

        Returns:
            The configurations in order, (n, candidates); how many have a strictly lower score than
            each of these; and the set of those visited before any number of visits, (n + 1,
            candidates, words).
        """
        by_configuration = np.ascontiguousarray(scores.T)
        order = np.argsort(by_configuration, axis=0, kind="stable")
        ordered = np.take_along_axis(by_configuration, order, axis=0)
        rises = np.ones(order.shape, dtype=bool)
        rises[1:] = ordered[1:] != ordered[:-1]
        positions = np.arange(self._count)[:, None]
        # Those with a strictly lower score end where the group of equal scores begins.
        lower = np.maximum.accumulate(np.where(rises, positions, 0), axis=0)
        visited = np.zeros((self._count + 1, len(scores), self._single.shape[1]), dtype=np.uint64)
        np.bitwise_or.accumulate(self._single[order], axis=0, out=visited[1:])
        return order, lower, visited


def _packed(mask: NDArray[np.bool_]) -> BitArray:
    """Pack the rows of a square mask (n, n) into words: (n, words)."""
    words = -(-mask.shape[1] // _WORD)
    padded = np.zeros((mask.shape[0], words * _WORD), dtype=bool)
    padded[:, : mask.shape[1]] = mask
    return np.packbits(padded, axis=1).view(np.uint64)


def _bits(words: BitArray, axis: int | tuple[int, ...]) -> NDArray[np.int64]:
    """Count the bits along some axes."""
    counts: NDArray[np.int64] = np.bitwise_count(words).sum(axis=axis, dtype=np.int64)
    return counts
