"""Resamples of configurations and intervals from them."""

from dataclasses import dataclass

import numpy as np

from gp_emq.ranking._weighted import Correlation, FloatArray


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
