"""The best grids found so far, of many rows."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class BestGrids:
    """The best grid of each row so far, (rows,): its error, its scale, its smallest integer."""

    error: Floats
    scale: Floats
    low: Integers

    def offer(self, row: Integers, error: Floats, scale: Floats, low: Integers) -> "BestGrids":
        """Take what is better; of equals what comes first."""
        order = np.lexsort((np.arange(len(row)), error, row))
        first = order[np.r_[True, np.diff(row[order]) > 0]] if len(row) else order
        better = first[error[first] < self.error[row[first]]]
        result = replace(
            self, error=self.error.copy(), scale=self.scale.copy(), low=self.low.copy()
        )
        result.error[row[better]] = error[better]
        result.scale[row[better]] = scale[better]
        result.low[row[better]] = low[better]
        return result


def nothing_yet(rows: Floats, counts: Floats, lows: Integers) -> BestGrids:
    """Start from scales at which everything is rounded to zero."""
    zeros = np.full(len(rows), lows[0], dtype=np.int64)
    return BestGrids((counts * rows**2).sum(1), 2.0 * np.abs(rows).max(1), zeros)


def gains_of(along: Floats, norms: Floats) -> Floats:
    """Return by how much integers lower the error from |x|²: (x·q)² / |q|²."""
    gains = np.zeros_like(along)
    np.divide(along**2, norms, out=gains, where=(norms > 0) & (along > 0))
    return gains
