"""Rules that choose the range of a grid: min-max, percentile, and least squared error."""

import torch
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.quantization._least_error import SortedRows, parts
from gp_emq.quantization._uniform import QuantizationParameters, integer_range

SCALE_RULES = ("mse", "minmax", "percentile")
PERCENTILE = 99.9
COARSE_STEPS = 64
FINE_STEPS = 16
FINE_ROUNDS = 2
BLOCK_ELEMENTS = 1 << 16
ELEMENTS_PER_CUT = 8
"""Rows of more elements per grid value than this are sorted."""
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
        factors = _best_factors(rows.detach(), low, high, bits, symmetric=symmetric)
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


def _best_factors(rows: Tensor, low: Tensor, high: Tensor, bits: int, *, symmetric: bool) -> Tensor:
    """Return the factor of each row's range that gives the least error, float64 (rows,).

    Candidates are compared by errors from sorted rows, where rows are long enough for that to
    pay; those that are too near to each other to be told apart so, and all candidates of shorter
    rows, by errors summed element by element.
    """
    count, elements = rows.shape
    columns = max(1, BLOCK_ELEMENTS // count)
    at_once = parts(count, elements, COARSE_STEPS << bits)
    found = []
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        choice = _Choice(rows[part], low[part], high[part], bits, columns, symmetric=symmetric)
        found.append(_search(choice, choice.count))
    return torch.cat(found)


def _search(choice: "_Choice", rows: int) -> Tensor:
    """Minimise the error of the factors (rows,), coarse to fine; the first of equals wins."""
    step = 1.0 / COARSE_STEPS
    coarse = 1.0 - step * torch.arange(COARSE_STEPS, dtype=torch.float64)
    best = choice.first_best(coarse.expand(rows, COARSE_STEPS))
    for _ in range(FINE_ROUNDS):
        fine = 2 * step / FINE_STEPS
        # The middle one is the best so far, which stays where nothing is better.
        counts = [count for count in range(1, FINE_STEPS) if 2 * count != FINE_STEPS]
        around = best[:, None] - step + fine * torch.tensor(counts, dtype=torch.float64)
        best = choice.first_best(torch.cat([best[:, None], around], dim=1))
        step = fine
    return best


class _Choice:
    """Chooses the best of some factors of the ranges of rows.

    Args:
        rows: float32 (rows, elements).
        low: Lower ends of the ranges, float64 (rows,).
        high: Upper ends.
        bits: Of the grids.
        columns: Elements of a row that are summed in one go.
        symmetric: Signed grids around zero.
    """

    def __init__(
        self, rows: Tensor, low: Tensor, high: Tensor, bits: int, columns: int, *, symmetric: bool
    ) -> None:
        self.count = len(rows)
        self._values = rows.double()
        self._low, self._high = low, high
        self._bits, self._symmetric = bits, symmetric
        self._columns = columns
        long = rows.shape[1] > ELEMENTS_PER_CUT << bits
        self._sorted = SortedRows(rows) if long else None

    def first_best(self, factors: Tensor) -> Tensor:
        """Return the first factor of least error of each row, (rows,).

        Args:
            factors: Candidates, float64 (rows, k).
        """
        if self._sorted is None:
            open_to = torch.ones(factors.shape, dtype=torch.bool)
        else:
            low, high = (end[:, None] * factors for end in (self._low, self._high))
            scale, zero_point = _grid(low, high, self._bits, symmetric=self._symmetric)
            ends = integer_range(self._bits, symmetric=self._symmetric)
            errors = self._sorted.squared_errors(scale.double(), zero_point.double(), *ends)
            least = errors.amin(1, keepdim=True)
            open_to = errors <= least + 2 * self._sorted.tolerance[:, None]
        # numpy's argmin and argmax give the first of equals, torch's any of them.
        chosen = open_to.numpy().argmax(1)
        undecided = (open_to.sum(1) > 1).nonzero()[:, 0]
        if len(undecided):
            exact = self._exact(factors[undecided], open_to[undecided], undecided)
            chosen[undecided.numpy()] = exact.numpy().argmin(1)
        return factors.gather(1, torch.from_numpy(chosen)[:, None])[:, 0]

    def _exact(self, factors: Tensor, wanted: Tensor, rows: Tensor) -> Tensor:
        """Return the errors of the factors that are wanted of some rows, infinite for others."""
        values, low, high = self._values[rows], self._low[rows], self._high[rows]
        errors = torch.full_like(factors, float("inf"))
        for place in range(factors.shape[1]):
            some = wanted[:, place].nonzero()[:, 0]
            whole = len(some) == len(rows)
            errors[some, place] = _squared_error(
                values if whole else values[some],
                low[some],
                high[some],
                factors[some, place],
                bits=self._bits,
                columns=self._columns,
                symmetric=self._symmetric,
            )
        return errors


def _squared_error(
    values: Tensor,
    low: Tensor,
    high: Tensor,
    factors: Tensor,
    *,
    bits: int,
    columns: int,
    symmetric: bool,
) -> Tensor:
    scale, zero_point = _grid(low * factors, high * factors, bits, symmetric=symmetric)
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    scale, zero_point = scale.double()[:, None], zero_point.double()[:, None]
    total = torch.zeros(values.shape[0], dtype=torch.float64)
    # Blocks keep the scratch in the processor's cache; their size is fixed because the
    # order of a sum decides its last digits.
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
