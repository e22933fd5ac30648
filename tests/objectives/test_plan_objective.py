import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.correlation import KendallRanker, at_equal_cost
from gp_emq.objectives import PlanRanker

ACCURACIES = np.array([0.5, 0.9, 0.7, 0.2, 0.4])
COSTS = np.array([1.0, 1.0, 1.0, 9.0, 9.0])
PAIRS = at_equal_cost(COSTS)


def worth(scores: np.ndarray, accuracies: np.ndarray, pairs: np.ndarray) -> float:
    """What picks are worth, window by window."""
    lost = at_stake = 0.0
    for place in range(len(scores)):
        window = [place, *np.flatnonzero(pairs[place])]
        highest = max(scores[window])
        picked = np.mean([accuracies[one] for one in window if scores[one] == highest])
        lost += max(accuracies[window]) - picked
        at_stake += max(accuracies[window]) - min(accuracies[window])
    return 1 - 2 * lost / at_stake if at_stake else 0.0


def test_picks_are_worth_what_a_hand_calculation_gives():
    # Of the first three the second best is picked, of the last two the best: 3 windows lose 0.2.
    scores = np.array([[1.0, 2.0, 3.0, 5.0, 6.0]])
    found = PlanRanker(ACCURACIES, PAIRS, share=1.0).taus(scores)
    assert found == pytest.approx(1 - 2 * (3 * 0.2) / (3 * 0.4 + 2 * 0.2))


@pytest.mark.parametrize(("scores", "expected"), [(ACCURACIES, 1.0), (-ACCURACIES, -1.0)])
def test_picking_the_best_and_the_worst_are_the_ends(scores, expected):
    assert PlanRanker(ACCURACIES, PAIRS).taus(scores[None]) == pytest.approx(expected)


def test_equal_scores_get_their_mean_accuracy():
    scores = np.array([[1.0, 2.0, 2.0, 5.0, 6.0]])
    found = PlanRanker(ACCURACIES, PAIRS, share=1.0).taus(scores)
    assert found == pytest.approx(1 - 2 * (3 * 0.1) / (3 * 0.4 + 2 * 0.2))


def test_configurations_of_one_accuracy_have_nothing_at_stake():
    ranker = PlanRanker(np.full(4, 0.5), at_equal_cost(np.ones(4)))
    assert ranker.taus(np.arange(4.0)[None]) == pytest.approx(0.0)


bench = st.integers(3, 9).flatmap(
    lambda count: st.tuples(
        *(st.lists(st.integers(0, top), min_size=count, max_size=count) for top in (6, 3, 4))
    )
)


@given(bench, st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=150, deadline=None)
def test_it_mixes_tau_and_picks_in_one_orientation(values, share):
    scores, costs, accuracies = (np.array(one, dtype=float) for one in values)
    accuracies /= 4
    pairs = at_equal_cost(costs)
    ranker = PlanRanker(accuracies, pairs, share)
    tau = KendallRanker(accuracies, pairs).taus(scores[None])[0]
    direction = -1 if tau < 0 else 1
    picks = direction * worth(direction * scores, accuracies, pairs)
    (found,) = ranker.taus(scores[None])
    assert found == pytest.approx((1 - share) * tau + share * picks)
    if tau:
        assert ranker.taus(-scores[None])[0] == pytest.approx(-found)


@given(bench)
@settings(max_examples=100, deadline=None)
def test_leaving_one_out_is_ranking_the_others(values):
    scores, costs, accuracies = (np.array(one, dtype=float) for one in values)
    pairs = at_equal_cost(costs)
    found = PlanRanker(accuracies, pairs).left_out(scores)
    for place in range(len(scores)):
        kept = np.arange(len(scores)) != place
        others = PlanRanker(accuracies[kept], pairs[np.ix_(kept, kept)])
        assert found[place] == pytest.approx(others.taus(scores[kept][None])[0])
