"""What can be ranked, and Kendall's tau of one set of scores."""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SIGNIFICANT_DIGITS = 9
"""Scores are rounded to these before ranking, so that last-digit differences decide nothing."""
_BLOCK = 128
"""Rows of pairs that are counted at once."""


def rounded(scores: FloatArray) -> FloatArray:
    """Round scores to 9 significant digits of the largest magnitude among a table's scores.

    Args:
        scores: (..., n), finite.

    Returns:
        The rounded scores as shares of that magnitude; all zero where every score is.
    """
    largest = np.abs(scores).max(axis=-1, keepdims=True, initial=0.0)
    shares: FloatArray = np.round(scores / np.where(largest > 0, largest, 1.0), SIGNIFICANT_DIGITS)
    return shares


def why_unrankable(accuracies: FloatArray, what: str) -> str:
    """Say why no ranking of some configurations can be right or wrong.

    Args:
        accuracies: Their measured top-1, (n,).
        what: What they are, as in "test configurations".

    Returns:
        The reason, half a sentence; empty where they can be ranked.
    """
    if len(accuracies) < 2:
        return f"there are {len(accuracies)} {what}, and it takes 2"
    if bool((accuracies == accuracies[0]).all()):
        return f"all {len(accuracies)} {what} have the same accuracy"
    return ""


def tau_b(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Kendall's tau-b of two sets of numbers as they are.

    Args:
        first: (n,), finite.
        second: (n,), finite.

    Returns:
        Tau-b in [−1, 1]; 0 if either side is constant, or there are fewer than two.
    """
    difference = untied = untied_others = 0
    for start in range(0, len(first), _BLOCK):
        row, other_row = (of[start : start + _BLOCK, None] for of in (first, second))
        higher, higher_other = row > first, other_row > second
        difference += int(np.count_nonzero(higher & higher_other))
        difference -= int(np.count_nonzero(higher & (other_row < second)))
        untied += int(np.count_nonzero(higher))
        untied_others += int(np.count_nonzero(higher_other))
    if not untied or not untied_others:
        return 0.0
    return min(1.0, max(-1.0, difference / math.sqrt(untied) / math.sqrt(untied_others)))


def mean_ranks(values: FloatArray) -> FloatArray:
    """Rank values from 1 up; those that tie share the mean of their ranks.

    Args:
        values: (n,), finite.

    Returns:
        (n,).
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2)[places]
    return ranks


def kendall_tau(scores: FloatArray, accuracies: FloatArray) -> float:
    """Kendall's tau-b between rounded scores and accuracies; see `rounded` and `tau_b`."""
    return tau_b(rounded(scores), accuracies)
