"""What values a layer is fed, in memory that does not grow with how many there are."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

_DROPPED_BITS = 12
"""Of a float32: what is left are sign, exponent and 11 bits, so that bins are 0.05 % wide."""
_SORTED_AT_ONCE = 1 << 22


class Histogram:
    """Counts of values in bins of equal relative width, with the mean of each bin.

    Bins of equal relative width need no range to begin with, and one outlier widens none.
    """

    def __init__(self) -> None:
        self._keys: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._counts: NDArray[np.float64] = np.empty(0)
        self._sums: NDArray[np.float64] = np.empty(0)

    def add(self, values: Tensor) -> None:
        """Count values of any shape, floating-point and finite."""
        flat = values.detach().cpu().float().flatten().numpy()
        for start in range(0, len(flat), _SORTED_AT_ONCE):
            ordered = np.sort(flat[start : start + _SORTED_AT_ONCE])
            keys = ordered.view(np.int32) >> _DROPPED_BITS
            begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
            counts = np.diff(np.r_[begins, len(keys)]).astype(np.float64)
            sums = np.add.reduceat(ordered.astype(np.float64), begins)
            self._merge(keys[begins], counts, sums)

    def _merge(
        self, keys: NDArray[np.int32], counts: NDArray[np.float64], sums: NDArray[np.float64]
    ) -> None:
        self._keys, place = np.unique(np.r_[self._keys, keys], return_inverse=True)
        weights = np.r_[self._counts, counts], np.r_[self._sums, sums]
        self._counts, self._sums = (
            np.bincount(place, weight).astype(np.float64) for weight in weights
        )

    def values(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the means of the bins, rising, and their counts, (bins,) each."""
        means = self._sums / self._counts
        order = np.argsort(means, kind="stable")
        return means[order], self._counts[order]
