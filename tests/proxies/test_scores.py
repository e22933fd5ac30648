"""Scores are sums over entries, and Kendall's tau of them is scipy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from gp_emq.proxies import (
    KendallRanker,
    bootstrap_interval,
    configuration_scores,
    kendall_tau,
    rounded,
)

LENGTHS = st.integers(2, 90)


def values(length: int, distinct: int) -> st.SearchStrategy[np.ndarray]:
    """Few distinct values, so that ties are the rule."""
    return hnp.arrays(np.float64, length, elements=st.integers(-distinct, distinct).map(float))


def scipy_tau(scores: np.ndarray, accuracies: np.ndarray) -> float:
    tau = stats.kendalltau(scores, accuracies).statistic
    return 0.0 if np.isnan(tau) else tau


def test_a_score_is_the_sum_of_the_entries_chosen_numbers() -> None:
    table = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    choices = np.array([[0, 0], [2, 1], [1, 2]])
    assert configuration_scores(table, choices).tolist() == [11, 23, 32]
    both = configuration_scores(np.stack([table, -table]), choices)
    assert both.tolist() == [[11, 23, 32], [-11, -23, -32]]


def test_scores_do_not_depend_on_what_is_scored_beside_them() -> None:
    rng = np.random.default_rng(0)
    tables, choices = rng.normal(size=(40, 17, 3)), rng.integers(3, size=(200, 17))
    together = configuration_scores(tables, choices)
    for table, scores in zip(tables, together, strict=True):
        assert (configuration_scores(table, choices) == scores).all()


@given(data=st.data(), length=LENGTHS)
def test_tau_is_scipys_with_and_without_ties(data, length) -> None:
    scores = data.draw(values(length, data.draw(st.sampled_from([1, 3, 10**6]))))
    accuracies = data.draw(values(length, data.draw(st.sampled_from([1, 3, 10**6]))))
    assert kendall_tau(scores, accuracies) == pytest.approx(
        scipy_tau(rounded(scores), accuracies), abs=1e-12
    )


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
