"""Rank correlations of resamples, all at once.

A resample is written as how often each configuration was drawn, a row of `weights`; a row of
ones is the sample itself. A configuration drawn twice is tied with itself, exactly as if it
stood there twice, so that each value equals what a textbook formula gives on the drawn list.
"""

from collections.abc import Callable

import numpy as np
import torch

from gp_emq.correlation._pairs import PairMask, signs
from gp_emq.correlation._scores import FloatArray
from gp_emq.determinism import one_thread

Correlation = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""From scores (n,), accuracies (n,) and weights (r, n) to one value per resample, (r,)."""


def kendall(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
    """Kendall's tau-b of each resample.

    Args:
        scores: (n,).
        accuracies: (n,).
        weights: How often each was drawn, (r, n).

    Returns:
        (r,); nan where one side is constant.
    """
    return _kendall(signs(scores), signs(accuracies), weights)


def kendall_of_pairs(pairs: PairMask) -> Correlation:
    """Kendall's tau-b over some of the pairs; those of one configuration drawn twice are tied.

    Args:
        pairs: Which pairs count, as `at_equal_cost` gives them.

    Returns:
        A function as `kendall`; nan where no pair that counts is untied on one side.
    """

    def correlate(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
        return _kendall(signs(scores) * pairs, signs(accuracies) * pairs, weights)

    return correlate


def _kendall(left: FloatArray, right: FloatArray, weights: FloatArray) -> FloatArray:
    """Kendall's tau-b of each resample from the signs of ordered differences, (n, n) each."""
    agreement = _pairs(left * right, weights)
    return _ratio(agreement, _pairs(np.abs(left), weights), _pairs(np.abs(right), weights))


def pearson(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
    """Pearson's correlation of each resample; arguments and result as `kendall`."""
    shape = weights.shape
    return _pearson(np.broadcast_to(scores, shape), np.broadcast_to(accuracies, shape), weights)


def spearman(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
    """Spearman's correlation of each resample; arguments and result as `kendall`."""
    return _pearson(_ranks(scores, weights), _ranks(accuracies, weights), weights)


def spearman_top(share: float) -> Correlation:
    """Spearman's correlation among the configurations that the scores put on top.

    Args:
        share: Which part of the resample; whoever ties with the last of them is in, too.

    Returns:
        A function as `spearman`.
    """

    def correlate(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
        return spearman(scores, accuracies, _top(scores, weights, share))

    return correlate


def _top(scores: FloatArray, weights: FloatArray, share: float) -> FloatArray:
    """Keep the weights of each resample's best share, (r, n)."""
    order = np.argsort(-scores, kind="stable")
    drawn = np.cumsum(weights[:, order], axis=1)
    wanted = np.ceil(share * drawn[:, -1:] - 1e-9)
    last = order[np.argmax(drawn >= wanted, axis=1)]
    return np.where(scores[None, :] >= scores[last][:, None], weights, 0.0)


def _pairs(matrix: FloatArray, weights: FloatArray) -> FloatArray:
    """Sum a symmetric (n, n) matrix over the ordered pairs of each resample, (r,)."""
    sums: FloatArray = np.einsum("rn,rn->r", _product(weights, matrix), weights)
    return sums


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Multiply matrices on one thread: numpy's threads wait for each other on a busy machine."""
    with one_thread():
        product = torch.from_numpy(left) @ torch.from_numpy(np.ascontiguousarray(right))
    values: FloatArray = product.numpy()
    return values


def _ranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mid-ranks within each resample, up to a constant, (r, n)."""
    ranks: FloatArray = 0.5 * _product(weights, signs(values).T)
    return ranks


def _pearson(left: FloatArray, right: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted Pearson correlation of rows, (r, n) each, to (r,)."""
    total = weights.sum(axis=1, keepdims=True)
    x = left - (weights * left).sum(axis=1, keepdims=True) / total
    y = right - (weights * right).sum(axis=1, keepdims=True) / total
    # Rounding leaves a constant row a little off zero, which must not pass for a spread.
    x = np.where(np.abs(x) <= 1e-12 * np.abs(left).max(axis=1, keepdims=True), 0.0, x)
    y = np.where(np.abs(y) <= 1e-12 * np.abs(right).max(axis=1, keepdims=True), 0.0, y)
    return _ratio(
        (weights * x * y).sum(axis=1), (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1)
    )


def _ratio(product: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """`product / √(left · right)`, nan where a side is zero, never beyond ±1."""
    scale = np.sqrt(left) * np.sqrt(right)
    values = np.divide(product, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    clipped: FloatArray = np.clip(values, -1.0, 1.0)
    return clipped
