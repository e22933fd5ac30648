import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gp_emq.correlation import (
    draw_weights,
    figure,
    interval,
    kendall,
    partial_kendall,
    pearson,
    spearman,
    spearman_top,
    whole,
)
from gp_emq.ranking._comparison import Mark, marks
from gp_emq.ranking._regret import SizeBudget, budgets_of, regret

# Few distinct values, so that ties are frequent.
VALUES = st.lists(st.integers(0, 6), min_size=3, max_size=25)


@st.composite
def resampled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores = np.array(draw(VALUES), dtype=float)
    size = len(scores)
    column = st.lists(st.integers(0, 6), min_size=size, max_size=size)
    counts = st.lists(st.integers(0, 3), min_size=size, max_size=size).filter(any)
    return scores, np.array(draw(column), dtype=float), np.array(draw(counts))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (kendall, lambda x, y: stats.kendalltau(x, y).statistic),
        (spearman, lambda x, y: stats.spearmanr(x, y).statistic),
        (pearson, lambda x, y: stats.pearsonr(x, y).statistic),
    ],
)
@given(resampled())
@settings(max_examples=80, deadline=None)
def test_a_weighted_resample_is_the_list_that_was_drawn(
    ours: object, theirs: object, sample: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    scores, accuracies, counts = sample
    x, y = np.repeat(scores, counts), np.repeat(accuracies, counts)
    found = ours(scores, accuracies, counts[None, :].astype(float))[0]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(theirs(x, y), abs=1e-9)


@given(resampled(), st.sampled_from([0.2, 0.5, 1.0]))
@settings(max_examples=80, deadline=None)
def test_top_share_is_chosen_by_score_and_keeps_ties(
    sample: tuple[np.ndarray, np.ndarray, np.ndarray], share: float
) -> None:
    scores, accuracies, counts = sample
    x, y = np.repeat(scores, counts), np.repeat(accuracies, counts)
    wanted = -(-len(x) * round(share * 10) // 10)
    top = x >= np.sort(x)[::-1][wanted - 1]
    found = spearman_top(share)(scores, accuracies, counts[None, :].astype(float))[0]
    if np.ptp(x[top]) == 0 or np.ptp(y[top]) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(x[top], y[top]).statistic, abs=1e-9)


def test_draws_are_counts_that_follow_the_seed() -> None:
    weights = draw_weights(20, 50, 300, seed=1)
    assert weights.shape == (300, 20)
    assert set(weights.sum(axis=1)) == {50.0}
    assert weights.mean() == pytest.approx(2.5)
    assert np.array_equal(weights, draw_weights(20, 50, 300, seed=1))
    assert not np.array_equal(weights, draw_weights(20, 50, 300, seed=2))


def test_bootstrap_interval_of_pearson_has_its_coverage() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(60):
        x = rng.normal(size=120)
        y = 0.6 * x + 0.8 * rng.normal(size=120)
        found = figure(pearson, x, y, draw_weights(120, 120, 300, seed=trial))
        assert found.low < found.value < found.high
        hits += found.low <= 0.6 <= found.high
    # Binomial(60, 0.95) lies above 50 with probability 0.999.
    assert hits > 50


def test_interval_of_nothing_is_nan() -> None:
    assert np.isnan(interval(np.full(3, np.nan))).all()


def test_partial_tau_is_kendalls_formula() -> None:
    rng = np.random.default_rng(4)
    control = rng.normal(size=40)
    scores = control + rng.normal(size=40)
    accuracies = control + rng.normal(size=40)
    tau = {
        (a, b): stats.kendalltau(x, y).statistic
        for (a, x), (b, y) in itertools.product(
            [("s", scores), ("a", accuracies), ("c", control)], repeat=2
        )
    }
    expected = (tau["s", "a"] - tau["s", "c"] * tau["a", "c"]) / np.sqrt(
        (1 - tau["s", "c"] ** 2) * (1 - tau["a", "c"] ** 2)
    )
    found = partial_kendall(control)(scores, accuracies, whole(40))[0]
    assert found == pytest.approx(expected)


def test_partial_tau_of_the_control_itself_is_not_defined() -> None:
    control = np.arange(10.0)
    accuracies = np.random.default_rng(0).normal(size=10)
    assert np.isnan(partial_kendall(control)(control, accuracies, whole(10))[0])


def test_regret_by_hand() -> None:
    sizes = np.array([1.0, 2.0, 3.0, 4.0])
    accuracies = np.array([0.5, 0.7, 0.6, 0.9])
    scores = np.array([0.0, 1.0, 2.0, 3.0])
    assert regret(scores, accuracies, sizes, SizeBudget(0.5, 3.0)) == pytest.approx(0.1)
    assert regret(scores, accuracies, sizes, SizeBudget(1.0, 4.0)) == 0.0
    tied = np.array([2.0, 0.0, 2.0, 0.0])
    assert regret(tied, accuracies, sizes, SizeBudget(0.5, 3.0)) == pytest.approx(0.7 - 0.55)


@given(st.lists(st.floats(1, 100), min_size=1, max_size=30))
def test_something_fits_each_budget_and_perfect_scores_lose_nothing(sizes: list[float]) -> None:
    array = np.array(sizes)
    for budget in budgets_of(array):
        assert (array <= budget.size).mean() >= budget.share
        assert regret(array, array, array, budget) == 0.0


def resampled_taus(taus: list[float], spread: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array(taus)[:, None] + spread * rng.normal(size=(len(taus), 2000))


def test_clear_differences_are_marked_and_small_ones_are_not() -> None:
    taus = [0.6, 0.2, 0.59, 0.9, 0.61, np.nan]
    found = marks(
        np.array(taus), resampled_taus(taus, 0.05), [True, True, True, False, False, True], 150
    )
    assert found == (Mark.BEST, Mark.WORSE, Mark.SAME, Mark.BETTER, Mark.SAME, Mark.NONE)


def test_the_best_of_many_equals_does_not_make_others_worse() -> None:
    # All have the same expectation; only one happens to be the highest.
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(100):
        taus = rng.normal(0.5, 0.05, size=21)
        draws = taus[:, None] + 0.05 * rng.normal(size=(21, 500))
        found = marks(taus, draws, [True] * 20 + [False], 150)
        wrong += found[20] in {Mark.WORSE, Mark.BETTER}
    assert wrong <= 10


def test_without_hand_crafted_proxies_there_is_nothing_to_compare() -> None:
    assert marks(np.array([0.5]), np.full((1, 5), 0.5), [False], 150) == (Mark.NONE,)
