"""How accurate a network is, with intervals that say how much of it the images decide."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from torch import Tensor, nn

from gp_emq.networks import PrivateNetwork, undisturbed

_Z = float(norm.ppf(0.975))

Right = NDArray[np.bool_]
"""Which images are labelled rightly, (n,)."""


@dataclass(frozen=True)
class Measured:
    """A share, or a difference of two, with its 95 % interval.

    Attributes:
        value: In [0, 1], a difference in [-1, 1].
        low: Lower end of the interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def predictions(model: nn.Module, images: Tensor, batch: int) -> Tensor:
    """Return the class with the largest logit of each image.

    Args:
        model: Maps (n, C, H, W) to logits (n, classes); it is left alone, and run in eval mode.
        images: float32 (n, C, H, W).
        batch: Images per pass.

    Returns:
        int64 (n,).
    """
    network = PrivateNetwork(model)
    with undisturbed(), torch.no_grad():
        parts = [network.run(part).argmax(dim=1).cpu() for part in torch.split(images, batch)]
    return torch.cat(parts)


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
