"""Kendall's tau-b of a whole population against one set of accuracies, exactly."""

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation._pairs import PairMask, signs
from gp_emq.correlation._scores import FloatArray

BitArray = NDArray[np.uint64]

_WORD = 64
_CHUNK = 16
"""Candidates done side by side; more no longer fit the cache."""


class KendallRanker:
    """Ranks candidates against fixed accuracies by counting concordant pairs in bit sets.

    Which configurations are better, and which are worse, than each one is packed into bits once.
    For a candidate, configurations are visited in order of score; the set of those visited before
    grows bit by bit, and its intersection with the packed sets counts concordant and discordant
    pairs 64 at a time. Ties on either side belong to neither.

    Args:
        accuracies: Measured top-1 of the configurations, (n,).
        pairs: Which pairs of configurations count, symmetric (n, n), see `at_equal_cost`; None for
            all. The tau is ``(concordant − discordant) / √(pairs untied by score · pairs untied by
            accuracy)``, of those alone.
    """

    def __init__(self, accuracies: FloatArray, pairs: PairMask | None = None) -> None:
        better = accuracies[:, None] > accuracies[None, :]
        if pairs is not None:
            better &= pairs
        self._accuracies, self._pairs = accuracies, pairs
        self._count = len(accuracies)
        self._beats = _packed(better)
        self._beaten_by = _packed(better.T)
        self._counted = None if pairs is None else _packed(pairs)
        self._untied = int(np.count_nonzero(better))
        self._single = _packed(np.eye(self._count, dtype=bool))

    def taus(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of each candidate.

        Args:
            scores: (candidates, n), finite.

        Returns:
            (candidates,); 0 where either side is constant, or no pair counts.
        """
        chunks = [
            self._chunk(scores[start : start + _CHUNK]) for start in range(0, len(scores), _CHUNK)
        ]
        return np.concatenate(chunks) if chunks else np.zeros(0)

    def left_out(self, scores: FloatArray) -> FloatArray:
        """Give tau-b of one candidate with each configuration left out in turn, exactly.

        Args:
            scores: (n,), finite.

        Returns:
            (n,); 0 where either side is constant without it.
        """
        by_score, by_accuracy = signs(scores), signs(self._accuracies)
        if self._pairs is not None:
            by_score *= self._pairs
            by_accuracy *= self._pairs
        concordance = np.einsum("ij,ij->i", by_score, by_accuracy)
        # Sums over ordered pairs; leaving i out takes away row i and column i.
        numerator = concordance.sum() - 2 * concordance
        untied, untied_others = np.abs(by_score).sum(axis=1), np.abs(by_accuracy).sum(axis=1)
        left, right = untied.sum() - 2 * untied, untied_others.sum() - 2 * untied_others
        denominator = np.sqrt(left * right)
        taus: FloatArray = np.divide(
            numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
        )
        return taus

    def _chunk(self, scores: FloatArray) -> FloatArray:
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
        below = visited[lower, np.arange(len(scores))]
        concordant = _bits(below & self._beats[order])
        discordant = _bits(below & self._beaten_by[order])
        untied = (
            lower.sum(axis=0, dtype=np.float64)
            if self._counted is None
            else _bits(below & self._counted[order]).astype(np.float64)
        )
        pairs = np.sqrt(untied * self._untied)
        difference = (concordant - discordant).astype(np.float64)
        taus: FloatArray = np.divide(difference, pairs, out=np.zeros(len(scores)), where=pairs > 0)
        return taus


def _packed(mask: NDArray[np.bool_]) -> BitArray:
    """Pack the rows of a square mask (n, n) into words: (n, words)."""
    words = -(-mask.shape[1] // _WORD)
    padded = np.zeros((mask.shape[0], words * _WORD), dtype=bool)
    padded[:, : mask.shape[1]] = mask
    return np.packbits(padded, axis=1).view(np.uint64)


def _bits(words: BitArray) -> NDArray[np.int64]:
    """Count the bits of each candidate: (n, candidates, words) to (candidates,)."""
    counts: NDArray[np.int64] = np.bitwise_count(words).sum(axis=(0, 2), dtype=np.int64)
    return counts
