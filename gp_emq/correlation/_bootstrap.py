"""Resamples of configurations and intervals from them."""

from dataclasses import dataclass

import numpy as np

from gp_emq.correlation._pairs import PairMask, why_no_pairs
from gp_emq.correlation._scores import FloatArray, kendall_tau, rounded, why_unrankable
from gp_emq.correlation._weighted import Correlation, kendall, kendall_of_pairs


@dataclass(frozen=True)
class Figure:
    """A number with its interval.

    Attributes:
        value: The number, nan where it is not defined.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def draw_weights(configurations: int, draws: int, resamples: int, seed: int) -> FloatArray:
    """Draw resamples with replacement.

    Args:
        configurations: Number n of configurations to draw from.
        draws: Configurations per resample.
        resamples: Number r of resamples.
        seed: Which ones.

    Returns:
        How often each configuration was drawn, (r, n); rows sum to `draws`.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(configurations, size=(resamples, draws))
    weights = np.zeros((resamples, configurations))
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1.0)
    return weights


def whole(configurations: int) -> FloatArray:
    """The sample itself as the only resample, (1, n)."""
    return np.ones((1, configurations))


def interval(values: FloatArray) -> tuple[float, float]:
    """Percentile 95 % interval, over the resamples where the value is defined.

    Args:
        values: (r,).

    Returns:
        Lower and upper end; nan if no resample has a value.
    """
    defined = values[np.isfinite(values)]
    if defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high)


def figure(
    correlation: Correlation, scores: FloatArray, accuracies: FloatArray, weights: FloatArray
) -> Figure:
    """Measure a correlation with its bootstrap interval.

    Args:
        correlation: What to measure.
        scores: (n,).
        accuracies: (n,).
        weights: Resamples, (r, n).
    """
    value = float(correlation(scores, accuracies, whole(len(scores)))[0])
    return Figure(value, *interval(correlation(scores, accuracies, weights)))


def resampled_taus(
    scores: FloatArray,
    accuracies: FloatArray,
    *,
    pairs: PairMask | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> FloatArray:
    """Kendall's tau-b of rounded scores on bootstrap resamples of the configurations.

    Args:
        scores: (n,), finite.
        accuracies: Measured top-1 of the same configurations, (n,).
        pairs: Which pairs count, (n, n); None for all.
        resamples: Number r of resamples.
        seed: Which ones; of two proxies with the same seed they belong together.

    Returns:
        (r,); nan where a resample has one side constant, or no pair that counts.
    """
    weights = draw_weights(len(scores), len(scores), resamples, seed)
    correlation = kendall if pairs is None else kendall_of_pairs(pairs)
    return correlation(rounded(scores), accuracies, weights)


def bootstrap_interval(
    scores: FloatArray,
    accuracies: FloatArray,
    *,
    pairs: PairMask | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile 95 % interval of Kendall's tau over configurations, as `resampled_taus`.

    Returns:
        Lower and upper end.
    """
    return interval(resampled_taus(scores, accuracies, pairs=pairs, resamples=resamples, seed=seed))


def tau_on(scores: FloatArray, accuracies: FloatArray, pairs: PairMask | None) -> float | None:
    """Kendall's tau-b of rounded scores over the pairs that count; None if there are none.

    Args:
        scores: (n,), finite.
        accuracies: Measured top-1 of the same configurations, (n,).
        pairs: Which pairs count, (n, n); None for all.
    """
    if pairs is None:
        return None if why_unrankable(accuracies, "") else kendall_tau(scores, accuracies)
    if why_no_pairs(accuracies, pairs, ""):
        return None
    value = kendall_of_pairs(pairs)(rounded(scores), accuracies, whole(len(scores)))[0]
    return float(np.nan_to_num(value))
