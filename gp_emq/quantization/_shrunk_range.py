"""The min-max range shrunk by the factor of least squared error, as BRECQ's code has it.

No factor is above 1, so that an error can be larger than need be, most at 2 bits; benches that
were measured so go on naming it.
"""

import torch
from torch import Tensor

from gp_emq.quantization._ranges import spanning
from gp_emq.quantization._uniform import integer_range

COARSE_STEPS = 64
FINE_STEPS = 16
FINE_ROUNDS = 2
BLOCK_ELEMENTS = 1 << 16


def shrunk_range(
    rows: Tensor, low: Tensor, high: Tensor, bits: int, *, symmetric: bool
) -> tuple[Tensor, Tensor]:
    """Shrink the range of each row by one of 64 factors, then twice of 16 around the best so far.

    Args:
        rows: (rows, elements).
        low: Lower ends of their ranges, float64 (rows,).
        high: Upper ends.
        bits: Of the grids.
        symmetric: Signed grids around zero.

    Returns:
        The ends of the shrunk ranges.
    """
    values = rows.double()
    step = 1.0 / COARSE_STEPS
    factors = 1.0 - step * torch.arange(COARSE_STEPS, dtype=torch.float64)
    candidates = factors.expand(len(rows), COARSE_STEPS)
    best = _first_best(values, low, high, candidates, bits, symmetric=symmetric)
    for _ in range(FINE_ROUNDS):
        fine = 2 * step / FINE_STEPS
        # The middle one is the best so far, which stays where nothing is better.
        counts = [count for count in range(1, FINE_STEPS) if 2 * count != FINE_STEPS]
        around = best[:, None] - step + fine * torch.tensor(counts, dtype=torch.float64)
        candidates = torch.cat([best[:, None], around], dim=1)
        best = _first_best(values, low, high, candidates, bits, symmetric=symmetric)
        step = fine
    return low * best, high * best


def _first_best(
    values: Tensor, low: Tensor, high: Tensor, factors: Tensor, bits: int, *, symmetric: bool
) -> Tensor:
    """Return the first factor (rows,) of least error out of (rows, k)."""
    errors = [
        _squared_error(values, low * factor, high * factor, bits, symmetric=symmetric)
        for factor in factors.T
    ]
    # numpy's argmin gives the first of equals, torch's any of them.
    chosen = torch.from_numpy(torch.stack(errors, dim=1).numpy().argmin(1))
    return factors.gather(1, chosen[:, None])[:, 0]


def _squared_error(
    values: Tensor, low: Tensor, high: Tensor, bits: int, *, symmetric: bool
) -> Tensor:
    scale, zero_point = spanning(low, high, bits, symmetric=symmetric)
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
