import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from gp_emq.ptq._accuracy import accuracy, difference


@pytest.mark.parametrize(("right", "images"), [(0, 10), (10, 10), (917, 1000), (1, 3)])
def test_the_interval_of_an_accuracy_is_that_of_scipy(right, images):
    measured = accuracy(np.arange(images) < right)
    interval = binomtest(right, images).proportion_ci(method="wilson")
    assert measured.value == right / images
    assert (measured.low, measured.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    # Newcombe 1998, table II, method 10: both right, only after, only before, neither.
    [((36, 12, 2, 0), 0.0569, 0.3404), ((54, 0, 0, 0), -0.0664, 0.0664)],
)
def test_the_interval_of_a_difference_is_the_published_one(counts, low, high):
    after = np.repeat([True, True, False, False], counts)
    before = np.repeat([True, False, True, False], counts)
    measured = difference(before, after)
    assert measured.value == pytest.approx((counts[1] - counts[2]) / sum(counts))
    assert (measured.low, measured.high) == pytest.approx((low, high), abs=6e-5)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60),
)
def test_intervals_hold_their_value_and_a_swap_turns_them(pairs):
    before, after = np.array(pairs, dtype=bool).T
    there, back = difference(before, after), difference(after, before)
    assert -1 - 1e-12 <= there.low <= there.value + 1e-12
    assert there.value - 1e-12 <= there.high <= 1 + 1e-12
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_copies_of_an_image_count_once():
    rng = np.random.default_rng(0)
    once = rng.random(500) < 0.8
    copied = accuracy(np.tile(once, 4), groups=500)
    single = accuracy(once)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high), abs=1e-4)
    independent = rng.random(2000) < 0.8
    apart = accuracy(independent, groups=500)
    wilson = accuracy(independent)
    assert apart.high - apart.low == pytest.approx(wilson.high - wilson.low, rel=0.15)
    worse = once & (rng.random(500) < 0.9)
    change = difference(np.tile(once, 4), np.tile(worse, 4), groups=500)
    unrepeated = difference(once, worse)
    assert (change.low, change.high) == pytest.approx((unrepeated.low, unrepeated.high), abs=2e-3)
