"""Scores of bit configurations, and how well they rank measured accuracy."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

SIGNIFICANT_DIGITS = 9
"""Scores are rounded to these before ranking, so that last-digit differences decide nothing."""


def configuration_scores(
    table: NDArray[np.float64], choices: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Score bit configurations: one gather and one sum.

    Args:
        table: Sensitivity table, (entries, bits).
        choices: For each configuration the index of each entry's width among the bit choices,
            (n, entries).

    Returns:
        ``Σ_e table[e, choices[:, e]]``, float64 (n,).
    """
    scores: NDArray[np.float64] = table[np.arange(table.shape[0]), choices].sum(axis=1)
    return scores


def rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round scores to 9 significant digits of the largest magnitude among them.

    Args:
        scores: (n,), finite.

    Returns:
        The rounded scores; all zero if every score is.
    """
    largest = float(np.abs(scores).max(initial=0.0))
    if largest == 0.0:
        return scores
    return np.round(scores / largest, SIGNIFICANT_DIGITS)


def kendall_tau(scores: NDArray[np.float64], accuracies: NDArray[np.float64]) -> float:
    """Kendall's tau-b between rounded scores and accuracies.

    Args:
        scores: (n,), finite.
        accuracies: Measured top-1 of the same configurations, (n,).

    Returns:
        Tau-b in [−1, 1]; 0 if either side is constant.
    """
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
