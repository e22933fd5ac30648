"""Segments reduced all at once give what each gives by itself."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from primitives import _segmented
from primitives._segmented import Segmentation

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def _short_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_segmented, "CHUNK", 4)
        yield


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.booleans(), st.integers(0, 99))
def test_sums_and_extremes(sizes, per_bit, seed) -> None:
    bounds = np.cumsum([0, *sizes])
    shape = (3, bounds[-1]) if per_bit else (bounds[-1],)
    values = np.random.default_rng(seed).normal(size=shape)
    pieces = np.split(values, bounds[1:-1], axis=-1)
    segments = Segmentation(bounds[:-1].tolist(), int(bounds[-1]), CPU)
    block = torch.from_numpy(values)
    np.testing.assert_allclose(segments.sums(block), [p.sum(-1) for p in pieces], atol=1e-12)
    for largest, reduce in ((True, np.max), (False, np.min)):
        expected = [reduce(p, axis=-1) for p in pieces]
        np.testing.assert_array_equal(segments.extremes(block, largest=largest), expected)


def test_what_is_not_finite_stays_in_its_segment() -> None:
    values = torch.arange(20.0)
    values[9] = torch.inf
    sums = Segmentation([0, 8, 12], 20, CPU).sums(values)
    assert sums.tolist() == [28.0, np.inf, sum(range(12, 20))]
