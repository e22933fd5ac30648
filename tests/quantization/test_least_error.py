"""The scales of least squared error, against searches that share nothing with the code's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.quantization import WeightQuantizer, _least_error, _narrowing, _scales, fake_quantize
from gp_emq.quantization._least_error import least_error_grids


def lows(bits, symmetric):
    """Smallest integers of the grids there are."""
    return [-(2 ** (bits - 1))] if symmetric else [-zero for zero in range(2**bits)]


def rounding_error(x, scale, low, bits):
    q = np.clip(np.rint(x / scale), low, low + 2**bits - 1)
    return np.square(q * scale - x).sum()


def least_error_of(x, bits, symmetric):
    """Take one scale between every two at which an element changes its integer."""
    best = np.square(x).sum()
    for low in lows(bits, symmetric):
        changes = {abs(v) / (j + 0.5) for v in x if v for j in range(2**bits)}
        ends = [0.0, *sorted(changes), 4 * np.abs(x).max()]
        for scale in (np.array(ends[1:]) + ends[:-1]) / 2:
            q = np.clip(np.rint(x / scale), low, low + 2**bits - 1)
            if q @ q and x @ q > 0:
                best = min(best, np.square(x - x @ q / (q @ q) * q).sum())
    return best


def dense_search(x, bits, symmetric):
    """Try thousands of scales, from one that clips nearly all to one that rounds all to zero."""
    scales = np.geomspace(1e-3, 3, 4000) * np.abs(x).max()
    return min(_errors(x, scales, low, bits).min() for low in lows(bits, symmetric))


def _errors(x, scales, low, bits):
    q = np.clip(np.rint(x[None] / scales[:, None]), low, low + 2**bits - 1)
    return np.square(q * scales[:, None] - x[None]).sum(1)


def found_error(x, bits, symmetric, counts=None):
    scale, zero = least_error_grids(
        x[None], bits, symmetric=symmetric, counts=None if counts is None else counts[None]
    )
    low = lows(bits, symmetric)[0] if symmetric else -int(zero[0])
    return rounding_error(x, scale[0], low, bits)


rows = st.lists(
    st.one_of(st.integers(-4, 4).map(float), st.floats(-3, 3).map(lambda v: round(v, 3))),
    min_size=1,
    max_size=9,
).filter(any)


@given(rows, st.integers(2, 4), st.booleans(), st.booleans())
@settings(max_examples=120)
def test_short_rows_have_the_least_error_there_is(values, bits, symmetric, narrowing):
    x = np.array(values)
    with pytest.MonkeyPatch.context() as patch:
        if narrowing:
            patch.setattr(_least_error, "LONG", 0)
            patch.setattr(_narrowing, "POINTS", 5)
        found = found_error(x, bits, symmetric)
    assert found <= least_error_of(x, bits, symmetric) + 1e-12 * np.square(x).sum()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["normal", "heavy", "one-sided", "sparse", "far from zero"])
def test_long_rows_are_no_worse_than_a_dense_search(bits, symmetric, kind, monkeypatch):
    monkeypatch.setattr(_least_error, "LONG", 0)
    rng = np.random.default_rng(bits)
    x = {
        "normal": rng.normal(size=80),
        "heavy": rng.normal(size=80) ** 5,
        "one-sided": np.abs(rng.normal(size=80)),
        "sparse": rng.normal(size=80) * (rng.random(80) < 0.1),
        "far from zero": 7 + rng.normal(size=80),
    }[kind]
    assert found_error(x, bits, symmetric) <= dense_search(x, bits, symmetric) * (1 + 1e-12)


@pytest.mark.parametrize("symmetric", [True, False])
def test_eight_bits_are_as_good_as_a_dense_search(symmetric):
    x = np.random.default_rng(0).normal(size=300)
    step = np.ptp(x) / 255
    scales = np.linspace(0.5, 1.5, 2000) * step
    centre = round(-x.min() / step)
    best = min(
        _errors(x, scales, low, 8).min()
        for low in ([-128] if symmetric else range(-centre - 6, -centre + 7))
    )
    assert found_error(x, 8, symmetric) <= best * (1 if symmetric else 1.01)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_what_lies_on_a_grid_is_rounded_without_error(bits):
    # The second needs a scale of 1.5 times the min-max one, the third of many times it.
    for row in ([-2.0, -1.0, 0.0, 1.0], [-1.0, 0.0, 1.0] * 100, [0.3, 0.0, -0.3, 0.3]):
        weight = torch.tensor([row])
        for symmetric in (True, False):
            grid = WeightQuantizer(symmetric=symmetric).parameters(weight, bits)
            torch.testing.assert_close(fake_quantize(weight, grid), weight, rtol=1e-6, atol=0)


def test_a_ternary_row_has_no_error_at_two_bits():
    weight = torch.tensor([[-1.0, 0.0, 1.0]])
    grid = WeightQuantizer().parameters(weight, 2)
    assert float(grid.scale) == 1
    assert torch.equal(fake_quantize(weight, grid), weight)


@given(st.integers(0, 2**31), st.booleans(), st.integers(-120, 100))
@settings(max_examples=30)
def test_grids_follow_the_weights_whatever_their_size(seed, symmetric, exponent):
    weight = torch.randn(3, 40, generator=torch.Generator().manual_seed(seed))
    quantizer = WeightQuantizer(symmetric=symmetric, per_channel=True)
    ours = quantizer.parameters(weight, 3)
    theirs = quantizer.parameters(weight * 2.0**exponent, 3)
    assert torch.equal(theirs.scale, ours.scale * 2.0**exponent)
    assert torch.equal(theirs.zero_point, ours.zero_point)


def test_counts_are_repetitions():
    rng = np.random.default_rng(3)
    x, counts = rng.normal(size=50), rng.integers(0, 5, size=50)
    for bits, symmetric in ((3, True), (3, False), (8, True)):
        ours = least_error_grids(
            x[None], bits, symmetric=symmetric, counts=counts[None].astype(float)
        )
        theirs = least_error_grids(np.repeat(x, counts)[None], bits, symmetric=symmetric)
        np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9)
        assert ours[1] == theirs[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_kind_of_float_has_the_grid_of_its_values(dtype):
    weight = torch.randn(4, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    for rule in ("mse", "minmax", "percentile", "mse-shrunk"):
        quantizer = WeightQuantizer(per_channel=True, scale_rule=rule)
        found = quantizer.parameters(weight, 4)
        expected = quantizer.parameters(weight.double(), 4)
        torch.testing.assert_close(found.scale, expected.scale, rtol=1e-6, atol=0)


def test_the_result_does_not_depend_on_the_rows_beside():
    values = np.random.default_rng(5).normal(size=(6, 700))
    together = least_error_grids(values, 4, symmetric=False)
    for index in range(6):
        alone = least_error_grids(values[index : index + 1], 4, symmetric=False)
        assert (alone[0][0], alone[1][0]) == (together[0][index], together[1][index])


def test_what_was_found_before_is_found_again_and_is_of_its_own(monkeypatch) -> None:
    calls = []
    search = least_error_grids

    def counted(*given, **named):
        calls.append(1)
        return search(*given, **named)

    monkeypatch.setattr(_scales, "least_error_grids", counted)
    monkeypatch.setattr(_scales, "_known", {})
    monkeypatch.setattr(_scales, "_MOST_KNOWN", 5)
    rows = torch.randn(3, 20, dtype=torch.float64)
    first = _scales.least_error(rows, 3, symmetric=True)
    again = _scales.least_error(rows.clone(), 3, symmetric=True)
    assert len(calls) == 1
    assert all(map(torch.equal, first, again))
    again[0].zero_()
    assert torch.equal(_scales.least_error(rows, 3, symmetric=True)[0], first[0])
    assert len(calls) == 1
    # Everything that decides it makes another.
    ones = torch.ones_like(rows)
    for other in (
        lambda: _scales.least_error(rows, 4, symmetric=True),
        lambda: _scales.least_error(rows, 3, symmetric=False),
        lambda: _scales.least_error(rows.reshape(4, 15), 3, symmetric=True),
        lambda: _scales.least_error(rows, 3, symmetric=True, counts=ones),
        lambda: _scales.least_error(rows + 1, 3, symmetric=True),
    ):
        before = len(calls)
        other()
        assert len(calls) == before + 1
    assert len(_scales._known) == 5
