"""Sums over products of many numbers, fast and with the digits that they deserve."""

import math

import torch
from torch import Tensor

BLOCK = 1 << 12
"""Products that are summed in float32; sums of blocks are summed in float64."""
LEAST, MOST = 2.0**-74, 2.0**74
"""Between them, what float32 has no room for makes no difference to a sum of squares."""
_HALF = 60
"""Half of the exponents that float32 has for normal numbers, nearly."""


class Products:
    """Multiplies numbers with others, several times.

    Products are computed in float32, which loses no more digits than their factors did, and where
    their squares would leave its range, the numbers are shifted by a power of two before. Where
    large ones meet small ones, so that nothing helps, all is computed in float64.

    Args:
        values: float32 (n, ...).
    """

    def __init__(self, values: Tensor) -> None:
        self._values = self._shifted = values.float()
        self._exponent = 0
        self._products = torch.empty_like(self._values)

    def sums(self, others: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the products of each row, and over their squares.

        Args:
            others: float32, shaped as the values.

        Returns:
            Σ (values · others)² and Σ values · others over all axes but the first, float64 (n,).
        """
        others = others.float()
        squares, sums = self._summed(others)
        if not _has_room(squares):
            largest = _largest(self._values) * _largest(others)
            if largest == 0 or not math.isfinite(largest):
                return squares, sums
            self._shift(-math.frexp(largest)[1])
            squares, sums = self._summed(others)
        if not _has_room(squares):
            products = _rows(self._values.double() * others.double())
            return products.square().sum(dim=1), products.sum(dim=1)
        back = 2.0**-self._exponent
        return squares * back**2, sums * back

    def _summed(self, others: Tensor) -> tuple[Tensor, Tensor]:
        rows = _rows(torch.mul(self._shifted, others, out=self._products))
        whole = rows.shape[1] // BLOCK * BLOCK
        squares, sums = (rows.new_zeros(len(rows), dtype=torch.float64) for _ in range(2))
        for part in (rows[:, :whole].reshape(len(rows), -1, BLOCK), rows[:, None, whole:]):
            norms = torch.linalg.vector_norm(part, dim=2).double()
            squares += norms.square().sum(dim=1)
            sums += part.sum(dim=2).double().sum(dim=1)
        return squares, sums

    def _shift(self, exponent: int) -> None:
        """Multiply the values with a power of two, which changes no digit."""
        self._exponent = max(-2 * _HALF, min(exponent, 2 * _HALF))
        half = self._exponent // 2
        self._shifted = self._values * 2.0**half * 2.0 ** (self._exponent - half)


def _has_room(squares: Tensor) -> bool:
    return LEAST < float(squares.sum()) < MOST


def _largest(values: Tensor) -> float:
    if not values.numel():
        return 0.0
    low, high = torch.aminmax(values)
    return float(torch.maximum(-low, high))


def _rows(values: Tensor) -> Tensor:
    return values[:, None].flatten(1)
