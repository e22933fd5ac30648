"""Scores of bit configurations, and how well they rank measured accuracy."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

SIGNIFICANT_DIGITS = 9
"""Scores are rounded to these before ranking, so that last-digit differences decide nothing."""


def configuration_scores(tables: FloatArray, choices: NDArray[np.intp]) -> FloatArray:
    """Score bit configurations: a gather and a sum over entries.

    Entries are added one after the other, so that a score does not depend on how many tables are
    scored side by side.

    Args:
        tables: Sensitivity tables, (..., entries, bits).
        choices: For each configuration the index of each entry's width among the bit choices,
            (n, entries).

    Returns:
        ``Σ_e tables[..., e, choices[:, e]]``, float64 (..., n).
    """
    scores = np.zeros((*tables.shape[:-2], len(choices)))
    for entry in range(tables.shape[-2]):
        scores += tables[..., entry, :][..., choices[:, entry]]
    return scores


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


def kendall_tau(scores: NDArray[np.float64], accuracies: NDArray[np.float64]) -> float:
    """Kendall's tau-b between rounded scores and accuracies.

    Args:
        scores: (n,), finite.
        accuracies: Measured top-1 of the same configurations, (n,).

    Returns:
        Tau-b in [−1, 1]; 0 if either side is constant, or there are fewer than two.
    """
    if len(scores) < 2:
        return 0.0
    tau = float(stats.kendalltau(rounded(scores), accuracies).statistic)
    return 0.0 if np.isnan(tau) else tau


def bootstrap_interval(
    scores: NDArray[np.float64],
    accuracies: NDArray[np.float64],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap 95 % interval of Kendall's tau over configurations.

    Args:
        scores: (n,), finite.
        accuracies: Measured top-1 of the same configurations, (n,).
        resamples: Number of resamples.
        seed: Which ones.

    Returns:
        Lower and upper end.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(scores), size=(resamples, len(scores)))
    taus = [kendall_tau(scores[draw], accuracies[draw]) for draw in draws]
    low, high = np.percentile(taus, (2.5, 97.5))
    return float(low), float(high)
