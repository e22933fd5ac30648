"""Uniform affine quantization: grids, and rounding to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gp_emq.quantization._names import MAX_BITS, MIN_BITS


@dataclass(frozen=True)
class QuantizationParameters:
    """A uniform grid: the values `(q - zero_point) * scale` of the integers `q`.

    Attributes:
        scale: float32, positive: () per tensor and (out, 1, ...) per channel, as they broadcast
            against what is quantized; (out, groups) where there are groups.
        zero_point: float32 of the same shape holding integers.
        quant_min: smallest integer of the grid.
        quant_max: largest integer of the grid.
        group: how many values of a channel, in the order in which they lie, share a scale; the
            last group may be shorter. `None` where there are no groups.
    """

    scale: Tensor
    zero_point: Tensor
    quant_min: int
    quant_max: int
    group: int | None = None

    def to(self, device: torch.device) -> "QuantizationParameters":
        """Return the same grid with its tensors on a device."""
        scale, zero_point = self.scale.to(device), self.zero_point.to(device)
        return replace(self, scale=scale, zero_point=zero_point)

    def spread(self, values: Tensor, shape: Sequence[int]) -> Tensor:
        """Bring scales, or what else there is one of for each, to what broadcasts.

        Args:
            values: shaped as the scale.
            shape: of what is quantized, (out, ...).
        """
        if self.group is None:
            return values
        length = math.prod(shape[1:])
        return values.repeat_interleave(self.group, dim=1)[:, :length].reshape(tuple(shape))

    def gather(self, values: Tensor) -> Tensor:
        """Sum over the values that share a scale, the opposite of `spread`.

        Args:
            values: one for each value that is quantized, shaped as what is.

        Returns:
            Shaped as the scale.
        """
        if self.group is not None:
            rows = values.reshape(values.shape[0], -1)
            padded = nn.functional.pad(rows, (0, -rows.shape[1] % self.group))
            return padded.reshape(*self.scale.shape, self.group).sum(-1)
        if self.scale.dim() == 0:
            return values.sum()
        axes = [axis for axis, size in enumerate(self.scale.shape) if size == 1]
        return values.sum(axes, keepdim=True) if axes else values


def integer_range(bits: int, *, symmetric: bool) -> tuple[int, int]:
    """Return the smallest and largest integer of a grid.

    Args:
        bits: 2 to 8.
        symmetric: signed integers around zero, as in [-4, 3], else unsigned ones.

    Raises:
        ValueError: if `bits` is out of range.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ValueError(f"bits must be {MIN_BITS} to {MAX_BITS}, not {bits}")
    if symmetric:
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def quantize(x: Tensor, parameters: QuantizationParameters) -> Tensor:
    """Round to the integers of a grid.

    Args:
        x: float values, any shape that the scale broadcasts against.
        parameters: the grid.

    Returns:
        The integers `q`, as a new tensor with the dtype of `x`.
    """
    with torch.no_grad():
        return _integers(x, parameters).to(x.dtype)


def fake_quantize(x: Tensor, parameters: QuantizationParameters) -> Tensor:
    """Round to the nearest values of a grid: the `Q_b(x)` of the literature.

    Halves round to the even integer, and values beyond the grid saturate. Values in half
    precision are rounded in float32.

    Args:
        x: float values, any shape that the scale broadcasts against.
        parameters: the grid.

    Returns:
        The grid values, as a new tensor with the shape and dtype of `x`, without gradient.
    """
    with torch.no_grad():
        q = _integers(x, parameters)
        if _has_zero_point(parameters):
            q.sub_(parameters.spread(parameters.zero_point, x.shape))
        return q.mul_(parameters.spread(parameters.scale, x.shape)).to(x.dtype)


def in_full_precision(values: Tensor) -> Tensor:
    """Return floating-point values as float32, or as float64 where they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _integers(x: Tensor, parameters: QuantizationParameters) -> Tensor:
    # In place after the first operation: torch's own fake-quantize operators are an order
    # of magnitude slower on a processor.
    q = in_full_precision(x) / parameters.spread(parameters.scale, x.shape)
    q.round_()
    if _has_zero_point(parameters):
        q.add_(parameters.spread(parameters.zero_point, x.shape))
    return q.clamp_(parameters.quant_min, parameters.quant_max)


def _has_zero_point(parameters: QuantizationParameters) -> bool:
    return parameters.quant_min >= 0
