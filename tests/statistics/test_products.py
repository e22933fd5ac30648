"""Sums over products in float32, held to sums in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gp_emq.statistics._products import BLOCK, Products


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + shape[-1]))


def expected(one: Tensor, other: Tensor) -> tuple[np.ndarray, np.ndarray]:
    products = (one.double() * other.double()).numpy().reshape(len(one), -1)
    return np.square(products).sum(1), products.sum(1)


@pytest.mark.parametrize(
    "shape", [(3,), (2, 5), (2, 3, BLOCK // 2), (1, BLOCK), (2, 3 * BLOCK + 7), (2, 0)]
)
@pytest.mark.parametrize(
    ("size", "other_size"),
    [(1.0, 1.0), (1e-6, 1e-4), (1e-30, 1e-30), (1e-38, 1.0), (1e25, 1e10), (1e-20, 1e25)],
)
def test_sums_are_those_of_float64(shape: tuple[int, ...], size: float, other_size: float) -> None:
    one, other = size * drawn(*shape), other_size * drawn(*shape).flip(0).roll(1, -1)
    squares, sums = Products(one).sums(other)
    of_squares, of_sums = expected(one, other)
    np.testing.assert_allclose(squares.numpy(), of_squares, rtol=1e-5)
    sizes = expected(one.abs(), other.abs())[1].sum()
    np.testing.assert_allclose(sums.numpy(), of_sums, rtol=0, atol=1e-6 * sizes)
    assert squares.dtype == sums.dtype == torch.float64


def test_one_after_another_may_be_of_any_size() -> None:
    one = 1e-9 * drawn(2, 50)
    products = Products(one)
    for size in (1e-3, 1e-30, 1e20, 0.0, 1.0):
        other = size * drawn(2, 50).flip(1)
        for found, wanted in zip(products.sums(other), expected(one, other), strict=True):
            np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4)


def test_what_shifting_does_not_help_is_summed_in_float64() -> None:
    one, other = torch.tensor([[1.0, 1e-20]]), torch.tensor([[0.0, 1e-20]])
    squares, sums = Products(one).sums(other)
    np.testing.assert_allclose(squares.numpy(), [1e-80], rtol=1e-5)
    np.testing.assert_allclose(sums.numpy(), [1e-40], rtol=1e-5)


def test_what_is_not_finite_is_not_made_finite() -> None:
    squares, _ = Products(torch.tensor([[1.0, float("inf")]])).sums(torch.ones(1, 2))
    assert not bool(squares.isfinite().any())
