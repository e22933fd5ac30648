"""Sums over the integers that rows are rounded to, from sorted rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.quantization._best_grids import Floats, Integers


@dataclass(frozen=True)
class Problems:
    """Grids to find the scale of: each of a row and of a range of integers.

    Attributes:
        row: Which row, (p,).
        low: Smallest integer, (p,).
        high: Largest integer, (p,).
    """

    row: Integers
    low: Integers
    high: Integers

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: NDArray[np.generic] | slice) -> "Problems":
        return Problems(self.row[chosen], self.low[chosen], self.high[chosen])


class RowSums:
    """Sorted rows with their running sums.

    A grid cuts a sorted row into runs of equal integers, so that sums over all elements are sums
    over the cuts.

    Args:
        rows: (rows, elements).
        counts: Of the same shape.
    """

    def __init__(self, rows: Floats, counts: Floats) -> None:
        order = np.argsort(rows, axis=1)
        self.ordered = np.take_along_axis(rows, order, 1)
        self.counts = np.take_along_axis(counts, order, 1)
        padded = ((0, 0), (1, 0))
        self._below = np.pad(self.counts.cumsum(1), padded)
        self._sums = np.pad((self.counts * self.ordered).cumsum(1), padded)
        self.squares = (self.counts * self.ordered**2).sum(1)

    def below(self, problems: Problems, scales: Floats) -> Integers:
        """Return how many elements lie below each cut.

        Args:
            problems: p grids.
            scales: (p, k).

        Returns:
            (p, k, cuts); cut j lies half way between the integers low + j and low + j + 1.
        """
        cuts = int(problems.high[0] - problems.low[0])
        halves = problems.low[:, None] + np.arange(cuts) + 0.5
        values = (scales[:, :, None] * halves[:, None]).reshape(len(problems), -1)
        ordered = torch.from_numpy(self.ordered[problems.row])
        found = torch.searchsorted(ordered, torch.from_numpy(values)).numpy()
        return found.reshape(len(problems), scales.shape[1], cuts)

    def along(self, row: Integers, below: Integers) -> Floats:
        """Return the sums of what lies below cuts (p, k, cuts)."""
        sums: Floats = self._sums[row[:, None, None], below]
        return sums

    def weights(self, row: Integers, below: Integers) -> Floats:
        """Return how often that counts, (p, k, cuts)."""
        weights: Floats = self._below[row[:, None, None], below]
        return weights

    def total(self, row: Integers) -> Floats:
        """Return the sums of all, (p, 1)."""
        return self._sums[row, -1:]

    def number(self, row: Integers) -> Floats:
        """Return how often all count, (p, 1)."""
        return self._below[row, -1:]

    def products(self, problems: Problems, below: Integers) -> tuple[Floats, Floats]:
        """Return x·q and |q|², (p, k) each, of the integers that cuts say."""
        row = problems.row
        high = problems.high[:, None].astype(np.float64)
        halves = problems.low[:, None] + np.arange(below.shape[2]) + 0.5
        along = high * self.total(row) - self.along(row, below).sum(2)
        squares = np.einsum("pkc,pc->pk", self.weights(row, below), halves)
        return along, high**2 * self.number(row) - 2 * squares
