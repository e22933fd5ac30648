"""Rules that choose the range of a grid: min-max, percentile, and least squared error."""

from collections.abc import Callable

import torch
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.quantization._uniform import QuantizationParameters, integer_range

SCALE_RULES = ("mse", "minmax", "percentile")
PERCENTILE = 99.9
COARSE_STEPS = 64
FINE_STEPS = 16
FINE_ROUNDS = 2
BLOCK_ELEMENTS = 1 << 16
SMALLEST_SCALE = float(torch.finfo(torch.float32).eps)


def choose_parameters(
    rows: Tensor, bits: int, *, symmetric: bool, rule: str
) -> tuple[Tensor, Tensor]:
    """Choose the scale and zero point of each row.

    Min-max takes the whole range (always with zero in it) as torch's observers do:
    `2 max|x| / (2^b - 1)` where symmetric, else `(max - min) / (2^b - 1)`. Percentile takes,
    instead of the extremes, the 99.9th percentile of |x| (symmetric) or the 0.1th and
    99.9th of x. MSE shrinks the min-max range by the factor that minimises the summed
    squared error: 64 factors, then twice 16 around the best so far, in float64.

    Args:
        rows: float32 (rows, elements), one row per scale.
        bits: 2 to 8.
        symmetric: signed grid around zero, else a zero point.
        rule: one of `SCALE_RULES`.

    Returns:
        Scale and zero point, float32 (rows,).

    Raises:
        ValueError: if the rule is unknown.
    """
    if rule not in SCALE_RULES:
        raise ValueError(f"scale rule must be one of {', '.join(SCALE_RULES)}, not {rule!r}")
    with one_thread(), torch.no_grad():
        low, high = _range(rows.detach(), symmetric=symmetric, rule=rule)
        if rule != "mse":
            return _grid(low, high, bits, symmetric=symmetric)
        values = rows.detach().double()
        factors = _search(
            lambda f: _squared_error(values, low, high, f, bits, symmetric=symmetric),
            values.shape[0],
        )
        return _grid(low * factors, high * factors, bits, symmetric=symmetric)


def _range(values: Tensor, *, symmetric: bool, rule: str) -> tuple[Tensor, Tensor]:
    """Return the ends of the range of each row, float64 (rows,), with zero in it."""
    zero = torch.zeros(values.shape[0], dtype=torch.float64)
    if rule != "percentile":
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


def _grid(low: Tensor, high: Tensor, bits: int, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    steps = quant_max - quant_min
    span = 2 * torch.maximum(-low, high) if symmetric else high - low
    # Candidates are compared with the scale as it will be used, rounded to float32.
    scale = (span / steps).clamp_(min=SMALLEST_SCALE).float()
    zero_point = torch.zeros_like(scale)
    if not symmetric:
        zero_point = (-low / scale.double()).round().clamp(quant_min, quant_max).float()
    return scale, zero_point


def _search(error: Callable[[Tensor], Tensor], rows: int) -> Tensor:
    """Minimise `error` of the factors (rows,), coarse to fine; the first of equals wins."""
    step = 1.0 / COARSE_STEPS
    best = torch.ones(rows, dtype=torch.float64)
    least = error(best)
    for count in range(1, COARSE_STEPS):
        best, least = _better(error, torch.full_like(best, 1.0 - count * step), best, least)
    for _ in range(FINE_ROUNDS):
        centre = best
        fine = 2 * step / FINE_STEPS
        for count in range(1, FINE_STEPS):
            best, least = _better(error, centre - step + count * fine, best, least)
        step = fine
    return best


def _better(
    error: Callable[[Tensor], Tensor], factors: Tensor, best: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    errors = error(factors)
    smaller = errors < least
    return torch.where(smaller, factors, best), torch.where(smaller, errors, least)


def _squared_error(
    values: Tensor, low: Tensor, high: Tensor, factors: Tensor, bits: int, *, symmetric: bool
) -> Tensor:
    scale, zero_point = _grid(low * factors, high * factors, bits, symmetric=symmetric)
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    scale, zero_point = scale.double()[:, None], zero_point.double()[:, None]
    total = torch.zeros(values.shape[0], dtype=torch.float64)
    # Blocks keep the scratch in the processor's cache; their size is fixed because the
    # order of a sum decides its last digits.
    columns = max(1, BLOCK_ELEMENTS // values.shape[0])
    for start in range(0, values.shape[1], columns):
        block = values[:, start : start + columns]
        q = block / scale
        q.round_().add_(zero_point).clamp_(quant_min, quant_max).sub_(zero_point)
        q.mul_(scale).sub_(block)
        total += q.square_().sum(1)
    return total


def shaped_parameters(
    scale: Tensor, zero_point: Tensor, bits: int, shape: tuple[int, ...], *, symmetric: bool
) -> QuantizationParameters:
    """Give scales (rows,) the shape that broadcasts, and the integers of their grid."""
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    return QuantizationParameters(
        scale.reshape(shape), zero_point.reshape(shape), quant_min, quant_max
    )
