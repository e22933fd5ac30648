"""Kendall's tau is scipy's, and that of some pairs what counting them one by one gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from gp_emq.correlation import (
    KendallRanker,
    at_equal_cost,
    bootstrap_interval,
    kendall_of_pairs,
    kendall_tau,
    mean_ranks,
    rounded,
    tau_b,
    why_no_pairs,
)

LENGTHS = st.integers(2, 90)
FEW = st.integers(2, 30)
"""Where each pair is counted, or each of them left out."""


def values(length: int, distinct: int) -> st.SearchStrategy[np.ndarray]:
    """Few distinct values, so that ties are the rule."""
    return hnp.arrays(np.float64, length, elements=st.integers(-distinct, distinct).map(float))


def scipy_tau(scores: np.ndarray, accuracies: np.ndarray) -> float:
    tau = stats.kendalltau(scores, accuracies).statistic
    return 0.0 if np.isnan(tau) else tau


def counted(scores: np.ndarray, accuracies: np.ndarray, pairs: np.ndarray | None) -> float:
    """Tau-b over the pairs that count, from the signs of the differences of all."""
    count = np.triu(np.ones((len(scores), len(scores)), dtype=bool), 1)
    if pairs is not None:
        count &= pairs
    left, right = (np.sign(of[:, None] - of)[count] for of in (scores, accuracies))
    agreement, by_score, by_accuracy = left @ right, left @ left, right @ right
    return agreement / np.sqrt(by_score * by_accuracy) if by_score and by_accuracy else 0.0


@given(data=st.data(), length=LENGTHS)
def test_tau_is_scipys_with_and_without_ties(data, length) -> None:
    scores = data.draw(values(length, data.draw(st.sampled_from([1, 3, 10**6]))))
    accuracies = data.draw(values(length, data.draw(st.sampled_from([1, 3, 10**6]))))
    assert kendall_tau(scores, accuracies) == pytest.approx(
        scipy_tau(rounded(scores), accuracies), abs=1e-12
    )


@pytest.mark.parametrize("spread", [2, 10**6])
def test_tau_of_many_is_scipys_to_the_last_bit(spread) -> None:
    scores, accuracies = np.random.default_rng(0).integers(spread, size=(2, 700))
    assert tau_b(scores, accuracies) == scipy_tau(scores, accuracies)
    assert tau_b(scores, scores) == 1 == -tau_b(scores, -scores)


@given(data=st.data(), length=st.integers(1, 90))
def test_mean_ranks_are_scipys(data, length) -> None:
    numbers = data.draw(values(length, data.draw(st.sampled_from([1, 3, 10**6]))))
    assert mean_ranks(numbers).tolist() == stats.rankdata(numbers).tolist()


@given(data=st.data(), length=LENGTHS, candidates=st.integers(1, 40))
def test_ranking_many_candidates_at_once_gives_scipys_taus(data, length, candidates) -> None:
    seed = data.draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)
    spread = data.draw(st.sampled_from([1, 2, 5, 10**9]))
    scores = rng.integers(-spread, spread + 1, size=(candidates, length)).astype(float)
    accuracies = data.draw(values(length, data.draw(st.sampled_from([1, 5, 10**6]))))
    taus = KendallRanker(accuracies).taus(scores)
    expected = [scipy_tau(row, accuracies) for row in scores]
    np.testing.assert_allclose(taus, expected, atol=1e-12)


def test_taus_do_not_depend_on_what_is_ranked_beside_them() -> None:
    rng = np.random.default_rng(1)
    scores, accuracies = rng.integers(9, size=(50, 70)).astype(float), rng.random(70)
    ranker = KendallRanker(accuracies)
    together = ranker.taus(scores)
    assert [ranker.taus(row[None])[0] for row in scores] == together.tolist()


def test_ranking_nobody_gives_nothing() -> None:
    assert KendallRanker(np.arange(5.0)).taus(np.zeros((0, 5))).shape == (0,)


@given(data=st.data(), length=LENGTHS)
def test_negating_the_scores_negates_tau_exactly(data, length) -> None:
    scores = data.draw(
        hnp.arrays(np.float64, length, elements=st.floats(-1e6, 1e6, allow_subnormal=False))
    )
    accuracies = data.draw(values(length, 5))
    assert kendall_tau(-scores, accuracies) == -kendall_tau(scores, accuracies)
    ranker = KendallRanker(accuracies)
    both = ranker.taus(rounded(np.stack([scores, -scores])))
    assert both[0] == -both[1]


def test_a_constant_on_either_side_has_no_tau() -> None:
    rising, flat = np.arange(8.0), np.full(8, 3.0)
    assert kendall_tau(flat, rising) == 0
    assert kendall_tau(rising, flat) == 0
    assert kendall_tau(np.zeros(8), rising) == 0
    assert KendallRanker(flat).taus(np.stack([rising, flat])).tolist() == [0, 0]
    assert KendallRanker(rising).taus(np.stack([rising, flat])).tolist() == [1, 0]


def test_differences_in_the_last_digits_decide_nothing() -> None:
    scores = np.array([1.0, 1.0 + 1e-12, 1.0 - 1e-12, 2.0])
    assert len(set(rounded(scores))) == 2
    assert kendall_tau(scores, np.arange(4.0)) == kendall_tau(
        np.array([1.0, 1.0, 1.0, 2.0]), np.arange(4.0)
    )


@pytest.mark.parametrize("factor", [1e-300, 1e-9, 1.0, 1e9, 1e300])
def test_rounding_keeps_nine_digits_of_the_largest_whatever_the_scale(factor) -> None:
    scores = np.array([1.0, 1.0 + 1e-8, -1.0, 1.0 + 1e-11, 0.0]) * factor
    kept = rounded(scores)
    assert kept[0] != kept[1]
    assert kept[0] == kept[3] == -kept[2]
    assert kept[4] == 0


def test_each_row_is_rounded_by_its_own_largest() -> None:
    rows = np.array([[1e-20, 2e-20], [1e20, 2e20], [0.0, 0.0]])
    assert rounded(rows).tolist() == [[0.5, 1], [0.5, 1], [0, 0]]


def test_the_bootstrap_interval_holds_tau_and_narrows_with_more_configurations() -> None:
    rng = np.random.default_rng(2)
    widths = []
    for count in (30, 300):
        accuracies = rng.normal(size=count)
        scores = accuracies + rng.normal(size=count)
        low, high = bootstrap_interval(scores, accuracies, resamples=300)
        assert -1 <= low < kendall_tau(scores, accuracies) < high <= 1
        widths.append(high - low)
    # Sampling error falls with the square root of the number of configurations.
    assert widths[1] == pytest.approx(widths[0] / np.sqrt(10), rel=0.35)


def test_the_bootstrap_interval_is_about_scipys() -> None:
    rng = np.random.default_rng(3)
    accuracies = rng.normal(size=60)
    scores = accuracies + rng.normal(size=60)
    reference = stats.bootstrap(
        (scores, accuracies),
        lambda x, y: stats.kendalltau(x, y).statistic,
        paired=True, vectorized=False, n_resamples=1000, method="percentile", rng=4,
    ).confidence_interval  # fmt: skip
    low, high = bootstrap_interval(scores, accuracies)
    assert low == pytest.approx(reference.low, abs=0.03)
    assert high == pytest.approx(reference.high, abs=0.03)


def test_the_bootstrap_interval_is_the_same_for_the_same_seed() -> None:
    rng = np.random.default_rng(5)
    scores, accuracies = rng.normal(size=(2, 40))
    first = bootstrap_interval(scores, accuracies, resamples=100, seed=1)
    assert first == bootstrap_interval(scores, accuracies, resamples=100, seed=1)
    assert first != bootstrap_interval(scores, accuracies, resamples=100, seed=2)


@given(data=st.data(), length=FEW, candidates=st.integers(1, 4))
def test_masked_pairs_are_counted_one_by_one(data, length, candidates) -> None:
    accuracies = data.draw(values(length, 6))
    costs = data.draw(values(length, 5))
    scores = np.stack([data.draw(values(length, 6)) for _ in range(candidates)])
    pairs = at_equal_cost(costs, window=0.3)
    found = KendallRanker(accuracies, pairs).taus(scores)
    weighted = kendall_of_pairs(pairs)
    for one, tau in zip(scores, found, strict=True):
        expected = counted(one, accuracies, pairs)
        assert tau == pytest.approx(expected, abs=1e-12)
        resampled = weighted(one, accuracies, np.ones((1, length)))[0]
        assert np.nan_to_num(resampled) == pytest.approx(expected, abs=1e-12)


@given(data=st.data(), length=FEW)
def test_leaving_one_out_is_ranking_the_others(data, length) -> None:
    accuracies, scores, costs = (data.draw(values(length, 6)) for _ in range(3))
    for pairs in (None, at_equal_cost(costs, window=0.5)):
        found = KendallRanker(accuracies, pairs).left_out(scores)
        for out in range(length):
            kept = np.delete(np.arange(length), out)
            mask = None if pairs is None else pairs[np.ix_(kept, kept)]
            expected = counted(scores[kept], accuracies[kept], mask)
            assert found[out] == pytest.approx(expected, abs=1e-12)


def test_resamples_of_masked_pairs_are_as_if_written_out() -> None:
    rng = np.random.default_rng(0)
    scores, accuracies, costs = (rng.integers(0, 5, size=12).astype(float) for _ in range(3))
    pairs = at_equal_cost(costs, window=0.3)
    drawn = rng.integers(12, size=(5, 12))
    weights = np.stack([np.bincount(draw, minlength=12) for draw in drawn]).astype(float)
    found = kendall_of_pairs(pairs)(scores, accuracies, weights)
    for draw, tau in zip(drawn, found, strict=True):
        expected = counted(scores[draw], accuracies[draw], pairs[np.ix_(draw, draw)])
        assert tau == pytest.approx(expected, abs=1e-12)


def test_equal_cost_is_a_window_of_the_range() -> None:
    pairs = at_equal_cost(np.array([0.0, 1.9, 2.0, 100.0, 100.0]))
    assert np.argwhere(np.triu(pairs)).tolist() == [[0, 1], [1, 2], [3, 4]]
    assert at_equal_cost(np.full(4, 7.0)).sum() == 12
    assert at_equal_cost(np.zeros(0)).shape == (0, 0)


def test_why_no_pairs_can_be_ranked() -> None:
    apart = at_equal_cost(np.array([0.0, 50.0, 100.0]))
    what = "test configurations"
    assert why_no_pairs(np.arange(3.0), apart, what) == "no two test configurations cost the same"
    close = at_equal_cost(np.array([0.0, 0.0, 100.0]))
    assert "have the same accuracy" in why_no_pairs(np.array([1.0, 1.0, 2.0]), close, what)
    assert why_no_pairs(np.arange(3.0), close, what) == ""
