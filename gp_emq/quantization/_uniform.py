"""Uniform affine quantization: grids, and rounding to them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.quantization._names import MAX_BITS, MIN_BITS


@dataclass(frozen=True)
class QuantizationParameters:
    """A uniform grid: the values `(q - zero_point) * scale` of the integers `q`.

    Attributes:
        scale: float32, positive, shaped to broadcast against what it quantizes: () per
            tensor, (out, 1, ...) per channel.
        zero_point: float32 of the same shape holding integers.
        quant_min: smallest integer of the grid.
        quant_max: largest integer of the grid.
    """

    scale: Tensor
    zero_point: Tensor
    quant_min: int
    quant_max: int

    def to(self, device: torch.device) -> "QuantizationParameters":
        """Return the same grid with its tensors on a device."""
        scale, zero_point = self.scale.to(device), self.zero_point.to(device)
        return QuantizationParameters(scale, zero_point, self.quant_min, self.quant_max)


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
            q.sub_(parameters.zero_point)
        return q.mul_(parameters.scale).to(x.dtype)


def in_full_precision(values: Tensor) -> Tensor:
    """Return floating-point values as float32, or as float64 where they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _integers(x: Tensor, parameters: QuantizationParameters) -> Tensor:
    # In place after the first operation: torch's own fake-quantize operators are an order
    # of magnitude slower on a processor.
    q = in_full_precision(x) / parameters.scale
    q.round_()
    if _has_zero_point(parameters):
        q.add_(parameters.zero_point)
    return q.clamp_(parameters.quant_min, parameters.quant_max)


def _has_zero_point(parameters: QuantizationParameters) -> bool:
    return parameters.quant_min >= 0
