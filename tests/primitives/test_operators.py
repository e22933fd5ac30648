"""Operators do what their formulas say, never raise, and have the algebra they claim."""

import random

import numpy as np
import pytest
import reference_operators as reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from primitives import EXPONENTS, OPERATORS, Operator, Role

SHAPES = [(), (1,), (5,), (3, 4), (4, 2, 3, 3), (1, 1, 1, 1)]
DOUBLES = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
    elements=st.floats(-100, 100).map(lambda x: round(x, 6)),
)
ELEMENTWISE_REFERENCES = {**reference.UNARY, **reference.BINARY}
WITHOUT_REFERENCE = {
    "sequential",
    "branched",
    "dag",
    "times_bits",
    "power",
    "scaled",
    "log_determinant",
}


def of_kind(*kinds: Role, arity: int | None = None) -> list[str]:
    return [
        name
        for name, operator in OPERATORS.items()
        if operator.kind in kinds and name not in ("power", "scaled", "times_bits")
        if arity is None or operator.arity == arity
    ]


def random_arrays(shape: tuple[int, ...], count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape)) for _ in range(count)]


def apply(operator: Operator, *arrays: np.ndarray) -> np.ndarray:
    """Apply an operator to arrays of any rank, cut to what its kind wants."""
    tensors = [torch.from_numpy(np.asarray(array)) for array in arrays]
    if operator.kind is Role.REDUCTION:
        tensors = [tensor.reshape(-1) for tensor in tensors]
    if operator.kind is Role.MATRIX:
        tensors = [tensor.reshape(tensor.shape[0], -1) for tensor in tensors]
    return operator.function(*tensors).numpy()


def test_every_operator_has_an_independent_reference_here() -> None:
    referenced = {
        *ELEMENTWISE_REFERENCES, *reference.NORMALISERS, *reference.REDUCTIONS,
        *reference.COMPARISONS, *reference.MATRIX,
    }  # fmt: skip
    assert referenced | WITHOUT_REFERENCE == set(OPERATORS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", of_kind(Role.ELEMENTWISE))
def test_elementwise_operators_equal_numpy_on_any_shape(name, dtype) -> None:
    operator = OPERATORS[name]
    for seed, shape in enumerate(SHAPES):
        arrays = [array.astype(dtype) for array in random_arrays(shape, operator.arity, seed)]
        result = apply(operator, *arrays)
        with np.errstate(invalid="ignore"):
            expected = ELEMENTWISE_REFERENCES[name](*(array.astype(float) for array in arrays))
        assert result.dtype == dtype
        assert result.shape == shape
        np.testing.assert_allclose(result, expected, rtol=2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_power_keeps_the_sign_and_raises_the_magnitude(exponent) -> None:
    (x,) = random_arrays((3, 4), 1)
    result = OPERATORS["power"].function(torch.from_numpy(x), exponent).numpy()
    np.testing.assert_allclose(result, np.where(x < 0, -1, 1) * abs(x) ** exponent, rtol=1e-12)


def test_comparisons_of_elements_give_one_or_zero() -> None:
    x, y = torch.tensor([1.0, 2.0, 2.0]), torch.tensor([2.0, 2.0, 1.0])
    assert OPERATORS["less"].function(x, y).tolist() == [1, 0, 0]
    assert OPERATORS["equal"].function(x, y).tolist() == [0, 1, 0]
    assert OPERATORS["greater"].function(x, y).tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", of_kind(Role.NORMALISER))
def test_normalisers_equal_scipy_on_any_shape(name) -> None:
    for seed, shape in enumerate(SHAPES[2:-1]):
        (x,) = random_arrays(shape, 1, seed)
        result = apply(OPERATORS[name], x)
        np.testing.assert_allclose(result, reference.NORMALISERS[name](x), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", of_kind(Role.REDUCTION))
def test_reductions_equal_numpy_and_keep_leading_axes(name) -> None:
    operator = OPERATORS[name]
    references = {**reference.REDUCTIONS, **reference.COMPARISONS}
    arrays = random_arrays((3, 50), operator.arity)
    result = operator.function(*map(torch.from_numpy, arrays)).numpy()
    rows = [references[name](*(array[row] for array in arrays)) for row in range(3)]
    np.testing.assert_allclose(result, rows, rtol=1e-10)


def test_hamming_distance_counts_signs_that_differ() -> None:
    x, y = torch.tensor([1.0, -2.0, 0.0, 3.0]), torch.tensor([5.0, 2.0, 1.0, -3.0])
    assert OPERATORS["hamming_distance"].function(x, y).item() == 0.75


@pytest.mark.parametrize("name", of_kind(Role.MATRIX))
def test_matrix_operators_equal_scipy(name) -> None:
    operator = OPERATORS[name]
    arrays = random_arrays((4, 6), operator.arity)
    np.testing.assert_allclose(
        apply(operator, *arrays), reference.MATRIX[name](*arrays), rtol=1e-10, atol=1e-12
    )


def test_log_determinant_is_that_of_the_magnitude() -> None:
    matrix = torch.tensor([[2.0, 1.0], [3.0, -4.0]], dtype=torch.float64)
    function = OPERATORS["log_determinant"].function
    assert function(matrix).item() == pytest.approx(np.log(11))
    assert function(torch.ones(2, 2)).item() == -np.inf
    assert np.isnan(function(torch.tensor([[np.inf, 0], [0, 1]])).item())


@pytest.mark.parametrize("name", sorted(set(OPERATORS) - {"sequential", "branched", "dag"}))
@pytest.mark.parametrize(
    "values",
    [
        torch.zeros(4, 4),
        -torch.ones(4, 4),
        torch.full((4, 4), 3e38),
        torch.full((4, 4), -3e38),
        torch.full((4, 4), 1e-45),
        torch.tensor([[7.0]]),
        torch.tensor([[torch.inf, -torch.inf], [torch.nan, 1.0]]),
    ],
    ids=["zeros", "negative", "huge", "hugely negative", "tiny", "one element", "not finite"],
)
def test_operators_are_total(name, values) -> None:
    operator = OPERATORS[name]
    arguments = [values] * operator.arity
    if name == "power":
        results = [operator.function(values, exponent) for exponent in EXPONENTS]
    elif name == "times_bits":
        results = [operator.function(values, values)]
    else:
        results = [operator.function(*arguments)]
    shapes = {Role.REDUCTION: values.shape[:1], Role.MATRIX_REDUCTION: torch.Size()}
    for result in results:
        assert result.is_floating_point()
        assert result.shape == shapes.get(operator.kind, values.shape)


def claiming(flag: str) -> list[str]:
    return [name for name, operator in OPERATORS.items() if getattr(operator, flag)]


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def for_its_kind(operator: Operator, x: np.ndarray) -> np.ndarray:
    """Make a matrix square for what wants a square one."""
    if operator.kind is not Role.MATRIX_REDUCTION:
        return x
    side = int(np.sqrt(x.size))
    return x.ravel()[: side * side].reshape(side, side)


@pytest.mark.parametrize("name", claiming("commutative"))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_commutative_operators_do_not_care_for_order(name, data) -> None:
    x = data.draw(DOUBLES)
    y = data.draw(hnp.arrays(np.float64, x.shape, elements=st.floats(-100, 100)))
    assert_same(apply(OPERATORS[name], x, y), apply(OPERATORS[name], y, x))


@pytest.mark.parametrize("name", claiming("involution"))
@settings(max_examples=25, deadline=None)
@given(x=DOUBLES)
def test_involutions_undo_themselves(name, x) -> None:
    assert_same(apply(OPERATORS[name], apply(OPERATORS[name], x)), x)


@pytest.mark.parametrize("name", claiming("idempotent"))
@settings(max_examples=25, deadline=None)
@given(x=DOUBLES)
def test_idempotent_operators_do_nothing_the_second_time(name, x) -> None:
    # A constant tensor cannot be normalised; its rounding noise must not be either.
    if OPERATORS[name].kind is Role.NORMALISER and np.ptp(x) < 1e-3:
        return
    once = apply(OPERATORS[name], x)
    assert_same(apply(OPERATORS[name], once), once)


@pytest.mark.parametrize("flag", ["even", "odd"])
@settings(max_examples=200, deadline=None)
@given(x=DOUBLES, seed=st.integers(0, 1000))
def test_even_and_odd_operators_answer_to_the_sign(flag, x, seed) -> None:
    operator = OPERATORS[random.Random(seed).choice(claiming(flag))]
    if operator.kind is Role.NORMALISER and np.ptp(x) < 1e-3:
        return
    x = for_its_kind(operator, x)
    if operator.name == "times_bits":
        bits = torch.tensor([2.0, 3.0])
        times = operator.function
        assert torch.equal(times(torch.tensor([[-1.5]]), bits), -times(torch.tensor([[1.5]]), bits))
        return
    sign = 1 if flag == "even" else -1
    assert_same(apply(operator, -x), sign * apply(operator, x))


@pytest.mark.parametrize("name", claiming("of_magnitude"))
@settings(max_examples=25, deadline=None)
@given(x=DOUBLES)
def test_operators_of_magnitude_see_no_sign(name, x) -> None:
    assert OPERATORS[name].even, "an operator of the magnitude is even"
    assert_same(apply(OPERATORS[name], np.abs(x)), apply(OPERATORS[name], x))


@pytest.mark.parametrize("name", claiming("non_negative"))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_non_negative_operators_never_go_below_zero(name, data) -> None:
    x = data.draw(DOUBLES)
    y = data.draw(hnp.arrays(np.float64, x.shape, elements=st.floats(-100, 100)))
    result = apply(OPERATORS[name], *(x, y)[: OPERATORS[name].arity])
    assert not (result < 0).any()
