"""The range of values that a grid spans."""

import torch
from torch import Tensor

from gp_emq.errors import QuantizationError
from gp_emq.quantization._uniform import integer_range

PERCENTILE = 99.9
SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny)
"""The smallest float32 of full precision: a scale can be no smaller, whatever it is a scale of."""


def range_of(values: Tensor, *, symmetric: bool, percentile: bool) -> tuple[Tensor, Tensor]:
    """Return the ends of the range of each row, float64 (rows,), with zero in it.

    Args:
        values: (rows, elements).
        symmetric: Take the percentile of absolute values.
        percentile: Leave out what lies beyond the 99.9th percentile, on either side.
    """
    zero = torch.zeros(values.shape[0], dtype=torch.float64)
    if not percentile:
        low, high = values.amin(1), values.amax(1)
    elif symmetric:
        high = _percentile(values.abs(), PERCENTILE)
        low = -high
    else:
        low, high = _percentile(values, 100 - PERCENTILE), _percentile(values, PERCENTILE)
    return torch.minimum(low.double(), zero), torch.maximum(high.double(), zero)


def _percentile(values: Tensor, percent: float) -> Tensor:
    # Nearest rank, because torch.quantile refuses more than 16 million elements.
    rank = 1 + round(percent / 100 * (values.shape[1] - 1))
    return values.kthvalue(rank, dim=1).values


def spanning(low: Tensor, high: Tensor, bits: int, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Return scale and zero point, float32 (rows,), of the grids that span ranges.

    Args:
        low: Lower ends, float64 (rows,), at most 0.
        high: Upper ends, at least 0.
        bits: Of the grids.
        symmetric: Signed grids around zero, else with a zero point.
    """
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    steps = quant_max - quant_min
    span = 2 * torch.maximum(-low, high) if symmetric else high - low
    # Candidates are compared with the scale as it will be used, rounded to float32.
    scale = usable(span / steps)
    zero_point = torch.zeros_like(scale)
    if not symmetric:
        zero_point = (-low / scale.double()).round().clamp(quant_min, quant_max).float()
    return scale, zero_point


def usable(scale: Tensor) -> Tensor:
    """Return scales as float32, 1 where they are zero: what is all zero has a scale of its own."""
    return torch.where(scale > 0, scale.clamp(min=SMALLEST_SCALE), 1.0).float()


def check_scales(scale: Tensor, largest: Tensor, bits: int, what: str) -> None:
    """Refuse values whose grid would need a smaller scale than float32 has.

    Rows that are nothing beside the largest, less than its last digit in float32, may be rounded
    to zero.

    Args:
        scale: As `usable` gives them, (rows,).
        largest: Largest absolute value of each row, (rows,).
        bits: Of the grids.
        what: The values, for the complaint.

    Raises:
        QuantizationError: The scale of a row that counts is too small.
    """
    counts = largest.double() > largest.double().max() * torch.finfo(torch.float32).eps
    if bool((counts & (scale.to(largest.device) <= SMALLEST_SCALE)).any()):
        raise QuantizationError(
            f"{what} are at most {float(largest.max()):.3g}: too small for a grid of {bits} bits, "
            f"whose scale would be below {SMALLEST_SCALE:.3g}, the smallest in float32; leave the "
            "layer in float, or make them larger and undo it later in the network"
        )
