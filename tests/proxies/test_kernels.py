"""Kernels that write into scratch compute what the functions of their operators do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gp_emq.proxies._kernels import computed, kernel_of
from primitives import EXPONENTS, OPERATORS, Operator, Role

AWKWARD = torch.tensor(
    [0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e-42, 3.5, -3.5, 60.0, -60.0, 1e30, -1e30,
     math.inf, -math.inf, math.nan],
    dtype=torch.float64,
)  # fmt: skip


def elementwise(arity: int) -> list[Operator]:
    return [
        operator
        for operator in OPERATORS.values()
        if operator.kind is Role.ELEMENTWISE and operator.arity == arity
        and operator.name not in ("power", "times_bits")
    ]  # fmt: skip


@pytest.mark.parametrize("operator", elementwise(1), ids=lambda operator: operator.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_argument(operator, dtype) -> None:
    x = AWKWARD.to(dtype)
    before = x.clone()
    with np.errstate(all="ignore"):
        found = kernel_of(operator)(x, out=torch.empty_like(x))
    tolerance = 1e-6 if dtype is torch.float32 else 1e-14
    # Below the smallest normal number no digits are promised.
    torch.testing.assert_close(
        found, operator.function(before), rtol=tolerance, atol=1e-37, equal_nan=True
    )
    assert torch.equal(x.nan_to_num(7), before.nan_to_num(7))


@pytest.mark.parametrize("operator", elementwise(2), ids=lambda operator: operator.name)
def test_two_arguments_one_of_which_has_a_bit_axis(operator) -> None:
    x, y = AWKWARD, torch.stack([AWKWARD.flip(0), AWKWARD])
    found = computed(operator, x, y)
    assert found.shape == y.shape
    torch.testing.assert_close(found, operator.function(x, y), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("exponent", EXPONENTS)
@given(arrays.arrays(np.float64, 5, elements=st.floats(-1e3, 1e3).filter(lambda v: abs(v) > 1e-3)))
def test_signed_powers(exponent, x) -> None:
    found = computed(OPERATORS["power"], torch.from_numpy(x), exponent)
    np.testing.assert_allclose(found, np.sign(x) * np.abs(x) ** exponent, rtol=1e-12)
