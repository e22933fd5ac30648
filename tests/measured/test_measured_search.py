import itertools
import math

import numpy as np
import pytest
from stand_in import BITS, StandIn, problem_of

from gp_emq.errors import AllocationError
from gp_emq.measured._calibration import calibrate, random_plans
from gp_emq.measured._candidates import swapped
from gp_emq.measured._race import mean_of, paired, race
from gp_emq.measured._search import SearchSettings, search

TABLE = -np.outer([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], [9.0, 3.0, 1.0])
"""What the table believes: entries that differ little."""
HARMS = np.outer([1.0, 5.0, 0.2, 2.0, 0.1, 4.0, 0.3, 1.0], [0.09, 0.03, 0.01])
"""What is true."""


def start_of(problem):
    return problem.best().configuration


def true_optimum(problem, harms):
    """The least loss within the budgets, by trying every plan."""
    plans = itertools.product(BITS, repeat=len(harms))
    network = StandIn(harms)
    return min(network.true_loss(plan) for plan in plans if problem.fits(plan))


def test_a_search_finds_what_the_table_does_not_know() -> None:
    problem, network = problem_of(TABLE), StandIn(HARMS)
    found = search(problem, start_of(problem), network, SearchSettings(40))
    assert found.best == found.tried != found.start
    assert problem.fits(found.best)
    before, after = map(network.true_loss, (found.start, found.best))
    best = true_optimum(problem, HARMS)
    assert before - after > 0.8 * (before - best)
    assert found.change.value == pytest.approx(after - before)


def test_no_plan_takes_the_place_of_the_start_by_noise_alone() -> None:
    # All plans lose the same; what differs is noise of their own.
    flat = np.zeros_like(HARMS)
    kept = 0
    for seed in range(5):
        problem, network = problem_of(TABLE), StandIn(flat + 1.0, own_noise=0.2)
        found = search(problem, start_of(problem), network, SearchSettings(12, seed=seed))
        assert found.best in (found.start, found.tried)
        assert (found.best == found.start) or found.change.errors < -1
        kept += found.best != found.start
    assert kept <= 2


def test_a_search_is_decided_by_its_seed_and_keeps_to_its_measurements() -> None:
    problem = problem_of(TABLE)
    first, again = (
        search(problem, start_of(problem), StandIn(HARMS), SearchSettings(10, seed=3))
        for _ in range(2)
    )
    assert first == again
    assert first.measurements <= 12
    other = search(problem, start_of(problem), StandIn(HARMS), SearchSettings(10, seed=4))
    assert other.measured != first.measured


def test_the_winner_of_a_race_is_the_best_and_losers_see_less() -> None:
    network = StandIn(HARMS, noise=1.0)
    plans = [plan for plan in itertools.product(BITS, repeat=8) if sum(plan) == 24][:16]
    results = race(network, plans, 128)
    assert next(iter(results)) == min(plans, key=network.true_loss)
    sizes = sorted(len(losses) for losses in results.values())
    assert sizes == [16] * 8 + [32] * 4 + [64] * 2 + [128] * 2


def test_a_swap_keeps_the_budget() -> None:
    problem, generator = problem_of(TABLE), np.random.default_rng(0)
    start = start_of(problem)
    drawn = [swapped(problem, start, generator) for _ in range(50)]
    found = [plan for plan in drawn if plan is not None]
    assert len(set(found)) > 5
    assert all(problem.fits(plan) for plan in found)
    assert {sum(plan) for plan in found} == {24}


def test_intervals_are_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found = mean_of(values)
    error = math.sqrt(10 / 3) / 2  # the variance of these four is 10 / 3
    assert (found.value, found.error) == pytest.approx((3, error))
    assert found.high - found.value == pytest.approx(3.182446 * error)  # t of 3 degrees, 97.5 %
    assert paired(values + 1, values).value == 1


def test_a_table_is_corrected_by_few_measurements() -> None:
    problem, network = problem_of(TABLE), StandIn(HARMS)
    fitted = calibrate(problem, start_of(problem), network, plans=16)
    assert len(fitted.measured) == 16
    assert fitted.tau.value > fitted.table_tau.value + 0.2
    assert fitted.best == fitted.tried
    before, after = map(network.true_loss, (fitted.start, fitted.best))
    assert before - after > 0.5 * (before - true_optimum(problem, HARMS))
    assert "calibrated by measurements" in fitted.problem.provenance["proxy"]


def test_random_plans_differ_and_keep_the_budget() -> None:
    problem = problem_of(TABLE)
    start = start_of(problem)
    plans = random_plans(problem, 32, known={start}, seed=0)
    assert len(set(plans)) == len(plans) == 32
    assert start not in plans
    assert all(problem.fits(plan) for plan in plans)
    assert plans == random_plans(problem, 32, known={start}, seed=0)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda p, n: search(p, start_of(p), n, SearchSettings(None)), "needs a number"),
        (lambda p, n: search(p, start_of(p), n, SearchSettings(0)), "at least 1, not 0"),
        (lambda p, n: search(p, start_of(p), n, SearchSettings(9, -1.0)), "must be positive"),
        (lambda p, n: calibrate(p, start_of(p), n, plans=2), "at least 4 plans, not 2"),
        (lambda p, _: search(p, start_of(p), StandIn(HARMS, 16), SearchSettings(9)), "at least 32"),
        (
            lambda p, _: search(p, start_of(p), StandIn(HARMS * np.inf), SearchSettings(9)),
            "breaks the network",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(work, message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        work(problem_of(TABLE), StandIn(HARMS))
