"""Mean and variance of channels in float64, without a float64 copy of everything."""

from collections.abc import Iterator

import torch
from torch import Tensor

AT_ONCE = 1 << 22
"""Numbers that are in float64 at a time."""


def channel_means(values: Tensor, axis: int) -> Tensor:
    """Give the mean of every channel over all other axes.

    Args:
        values: Any shape.
        axis: Of the channels.

    Returns:
        Float64 (channels,), not a number where there is nothing.
    """
    if not values.numel():
        return torch.full((values.shape[axis],), torch.nan, dtype=torch.float64)
    sums = torch.stack([part.sum(1) for part in _parts(values, axis)]).sum(0)
    mean: Tensor = sums * (values.shape[axis] / values.numel())
    return mean


def channel_moments(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Give mean and unbiased variance of every channel over all other axes, float64 (channels,)."""
    mean = channel_means(values, axis)
    if not values.numel():
        return mean, mean
    squares = [part.sub_(mean[:, None]).square_().sum(1) for part in _parts(values, axis)]
    return mean, torch.stack(squares).sum(0) / (values.numel() // values.shape[axis] - 1)


def _parts(values: Tensor, axis: int) -> Iterator[Tensor]:
    """Give (channels, numbers) of some samples after the other, float64 copies."""
    channels_first = values.movedim(axis, 0)
    if channels_first.dim() == 1:
        channels_first = channels_first[:, None]
    samples = channels_first.shape[1]
    step = max(1, AT_ONCE * samples // max(1, values.numel()))
    for start in range(0, samples, step):
        part = channels_first[:, start : start + step].flatten(1)
        yield part.to(torch.float64, copy=True)
