"""The squared error of many scales at once, from sorted values."""

import math

import numpy as np
import torch
from torch import Tensor

_ELEMENTS = 1 << 21
"""Most numbers of one intermediate result; rows are taken in parts that keep to it."""
_SLACK = 16 * float(np.finfo(np.float64).eps)


class SortedRows:
    """Rows of values, sorted, with their running sums.

    A grid of L values cuts the sorted row into L runs; with running sums the squared error of a
    row is then a sum over the L - 1 cuts, however many elements it has.

    Args:
        rows: float32 (rows, elements).
    """

    def __init__(self, rows: Tensor) -> None:
        # numpy sorts floats several times faster than torch.
        ordered = torch.from_numpy(np.sort(rows.numpy(), axis=1)).double()
        self._ordered = ordered
        self._sums = torch.nn.functional.pad(ordered.cumsum(1), (1, 0))
        self._squares = ordered.square().sum(1)
        largest = torch.maximum(ordered[:, 0].abs(), ordered[:, -1].abs())
        elements = ordered.shape[1]
        summed = math.sqrt(elements) * ordered.abs().sum(1) + elements * largest
        self.tolerance = _SLACK * largest * summed
        """What rounding may add to an error, (rows,), of grids no wider than the row's range."""

    def squared_errors(self, scale: Tensor, zero_point: Tensor, low: int, high: int) -> Tensor:
        """Return the summed squared error of rounding each row to grids.

        Args:
            scale: float64 (rows, k), one for each of k grids.
            zero_point: float64 (rows, k).
            low: Smallest integer of the grids.
            high: Largest integer.

        Returns:
            float64 (rows, k).
        """
        steps = torch.arange(low, high, dtype=torch.float64)
        # Cut j lies half way between the grid values of the integers j and j + 1.
        cuts = (steps + 0.5 - zero_point[..., None]) * scale[..., None]
        flat = cuts.flatten(1).contiguous()
        below = torch.searchsorted(self._ordered, flat)
        sums = self._sums.gather(1, below).view_as(cuts).sum(2)
        # Summed by parts: with grid values g_j, differences of g_j are the scale, and those of
        # g_j² twice the scale times the cut.
        counted = (2 * cuts * below.view_as(cuts)).sum(2)
        top = (high - zero_point) * scale
        elements, total = self._ordered.shape[1], self._sums[:, -1:]
        products = top * total - scale * sums
        squares = top.square() * elements - scale * counted
        return self._squares[:, None] - 2 * products + squares


def parts(rows: int, elements: int, cuts: int) -> int:
    """Return how many rows to take at once.

    Args:
        rows: How many there are.
        elements: Of each row.
        cuts: Numbers of one row that `squared_errors` computes.
    """
    return max(1, min(rows, _ELEMENTS // max(elements, cuts)))
