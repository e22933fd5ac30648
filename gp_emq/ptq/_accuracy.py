"""How accurate a network is, with intervals that say how much of it the images decide."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

_Z = float(ndtri(0.975))

Right = NDArray[np.bool_]
"""Which images are labelled rightly, (n,)."""

Values = NDArray[Any]
"""A metric of each sample, (n,), or of all of them, ()."""


@dataclass(frozen=True)
class Measured:
    """A metric, or a difference of two, with its 95 % interval.

    Attributes:
        value: A share is in [0, 1], a difference of two in [-1, 1].
        low: Lower end of the interval; None where there is none.
        high: Upper end, likewise.
    """

    value: float
    low: float | None
    high: float | None


def measured(values: Values, groups: int | None = None) -> Measured:
    """Return a metric with its 95 % interval.

    Args:
        values: The metric of each sample, (n,), see `accuracy` where it is right or wrong; or of
            all samples, (), which has no interval.
        groups: As for `accuracy`.
    """
    if values.dtype == np.bool_:
        return accuracy(values, groups)
    return _mean(values, groups)


def change(before: Values, after: Values, groups: int | None = None) -> Measured:
    """Return how much a metric changes over the same samples, with its 95 % interval.

    Args:
        before: The metric before, as for `measured`.
        after: And after.
        groups: As for `accuracy`.
    """
    if before.dtype == np.bool_:
        return difference(before, after, groups)
    return _mean(after.astype(np.float64) - before, groups)


def _mean(values: Values, groups: int | None) -> Measured:
    """Return a mean with the interval of a normal distribution; base images count once."""
    mean = float(values.mean(dtype=np.float64))
    if values.ndim == 0:
        return Measured(mean, None, None)
    by_group = values
    if groups is not None and len(values) % groups == 0:
        by_group = values.reshape(-1, groups).mean(axis=0)
    if len(by_group) < 2:
        return Measured(mean, None, None)
    reach = _Z * float(by_group.std(ddof=1, dtype=np.float64)) / math.sqrt(len(by_group))
    return Measured(mean, mean - reach, mean + reach)


def accuracy(right: Right, groups: int | None = None) -> Measured:
    """Return a top-1 accuracy with its 95 % interval.

    Source of the interval: Wilson, 1927. Where several images show one base image, distorted,
    they count together as fewer than they are: the number of images is divided by the design
    effect, the factor by which the variance of the accuracy is larger than that of independent
    images.

    Args:
        right: Which images are labelled rightly, (n,).
        groups: Number of base images; image `i` shows base image `i % groups`. None where every
            image is one.
    """
    share = float(right.mean())
    return Measured(share, *_wilson(share, _effective(right, groups)))


def difference(before: Right, after: Right, groups: int | None = None) -> Measured:
    """Return how much an accuracy changes over the same images, with its 95 % interval.

    Source of the interval: Newcombe, Improved confidence intervals for the difference between
    binomial proportions based on paired data, 1998, method 10, with the smaller of the effective
    numbers of images.

    Args:
        before: Which images are labelled rightly before, (n,).
        after: And which after, (n,).
        groups: As for `accuracy`.
    """
    number = min(_effective(before, groups), _effective(after, groups))
    shares = [float((a & b).mean()) for a in (after, ~after) for b in (before, ~before)]
    first, second = float(after.mean()), float(before.mean())
    first_low, first_high = _wilson(first, number)
    second_low, second_high = _wilson(second, number)
    phi = _correlation(shares, number)

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    change = first - second
    return Measured(
        change,
        change - reach(first - first_low, second_high - second),
        change + reach(first_high - first, second - second_low),
    )


def _correlation(shares: list[float], number: float) -> float:
    """Return Newcombe's corrected correlation of two paired answers.

    Args:
        shares: Of images with both right, only the first, only the second, and neither.
        number: Of images.
    """
    both, first, second, neither = (share * number for share in shares)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    if margins <= 0:
        return 0.0
    surplus = both * neither - first * second
    if surplus > 0:
        surplus = max(surplus - number / 2, 0.0)
    return surplus / math.sqrt(margins)


def _wilson(share: float, number: float) -> tuple[float, float]:
    spread = _Z * math.sqrt(share * (1 - share) / number + _Z * _Z / (4 * number * number))
    middle, scale = share + _Z * _Z / (2 * number), 1 + _Z * _Z / number
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _effective(right: Right, groups: int | None) -> float:
    """Return the number of independent images that tell as much."""
    images = len(right)
    if groups is None or groups >= images or images % groups:
        return float(images)
    draws = images // groups
    share = right.mean()
    independent = share * (1 - share) / images
    if independent == 0 or groups < 2:
        return float(groups)
    by_group = right.reshape(draws, groups).mean(axis=0)
    effect = by_group.var(ddof=1) / groups / independent
    return images / float(np.clip(effect, 1.0, draws))
