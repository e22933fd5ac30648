"""Pairs of configurations: their order, and which of them count."""

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation._scores import FloatArray

PairMask = NDArray[np.bool_]
"""Which pairs count, symmetric (n, n); the diagonal is False."""

WINDOW = 0.02
"""Costs that differ by less than this share of their range are equal."""


def signs(values: FloatArray) -> FloatArray:
    """Signs of all ordered differences, (n,) to float64 (n, n)."""
    found: FloatArray = np.sign(values[:, None] - values[None, :])
    return found


def at_equal_cost(costs: FloatArray, window: float = WINDOW) -> PairMask:
    """Give the pairs of configurations that cost about the same, which is what allocation asks for.

    Args:
        costs: Cost of each configuration, such as its size, (n,).
        window: Costs that differ by less than this share of the range of all are equal; where all
            costs are the same, all pairs are.

    Returns:
        (n, n).
    """
    distances = np.abs(costs[:, None] - costs[None, :])
    spread = float(np.ptp(costs)) if len(costs) else 0.0
    pairs: PairMask = (distances < window * spread) | (distances == 0)
    np.fill_diagonal(pairs, val=False)
    return pairs


def among(pairs: PairMask | None, chosen: NDArray[np.intp]) -> PairMask | None:
    """Give the pairs that count among some configurations, (k, k); all where all do."""
    return None if pairs is None else pairs[np.ix_(chosen, chosen)]


def why_no_pairs(accuracies: FloatArray, pairs: PairMask, what: str) -> str:
    """Say why no pair that counts can be ranked right or wrong.

    Args:
        accuracies: Their measured top-1, (n,).
        pairs: Which pairs count.
        what: What they are, as in "test configurations".

    Returns:
        The reason, half a sentence; empty where some pair can be ranked.
    """
    if not pairs.any():
        return f"no two {what} cost the same"
    if not (pairs & (signs(accuracies) != 0)).any():
        return f"all {what} of the same cost have the same accuracy"
    return ""
