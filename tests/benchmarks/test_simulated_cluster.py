"""The simulated cluster against cases solved by hand, by way of the real farm and dispatcher."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scale import lines
from benchmarks.scale_real import KILLED_AFTER, SLOWNESS, Trial, on_paper, really
from benchmarks.simulated import Cluster, CostlyJob, SimulatedClock, SimulatedCluster
from benchmarks.simulated_search import Plan, costs_of, shares_of
from benchmarks.simulated_search import simulate as simulate_search
from gp_emq.farm import Farm


def simulate(like, items, *, items_per_task=None, timeout=None):
    """Do items once on a cluster; its seconds, its account, and the results."""
    clock = SimulatedClock()
    cluster = SimulatedCluster(like, clock)
    with Farm([CostlyJob()], task_timeout=timeout, workers=cluster, clock=clock) as farm:
        results = dict(farm.stream(items, items_per_task=items_per_task))
    return clock.now(), cluster.account, [results[place] for place in range(len(items))]


@pytest.mark.parametrize("workers", [1, 2, 5, 40])
def test_without_latency_or_failure_it_is_work_by_workers(workers) -> None:
    seconds, account, results = simulate(Cluster(workers=workers), [1.5] * 40)
    assert seconds == pytest.approx(60 / workers)
    assert account.worked == pytest.approx(60)
    assert results == [1.5] * 40


def test_one_straggler_holds_all_up_unless_tasks_are_small() -> None:
    like = Cluster(workers=4, slow=1, slowness=4.0)
    # Ten items for each of four: the slow one needs ten times four seconds.
    assert simulate(like, [1.0] * 39)[0] == pytest.approx(40)
    # One at a time: three do one a second and the slow one a quarter, 39 in 12 seconds.
    assert simulate(like, [1.0] * 39, items_per_task=1)[0] == pytest.approx(12)
    # One more is given to whoever comes first, which nobody knows to be slow.
    assert simulate(like, [1.0] * 40, items_per_task=1)[0] == pytest.approx(16)


def test_messages_add_up_in_the_one_process() -> None:
    like = Cluster(workers=100, message=0.5)
    # A hundred workers get ready one after the other, and so do their tasks.
    seconds, account, _ = simulate(like, [0.1] * 100, items_per_task=1)
    assert account.dispatched == pytest.approx(0.5 * (100 + 100), rel=0.02)
    assert seconds == pytest.approx(account.dispatched + 0.1, abs=0.5)


def test_latency_and_set_up_are_on_the_way_of_every_task() -> None:
    like = Cluster(workers=1, latency=0.25, set_up=3.0)
    # To and fro for the set-up and for each of four tasks.
    seconds, account, _ = simulate(like, [1.0] * 4, items_per_task=1)
    assert seconds == pytest.approx(3 + 4 + 5 * 0.5)
    assert (account.set_up, account.tasks) == (3.0, 4)


def test_a_killed_worker_costs_its_task_which_is_cut_and_done_elsewhere() -> None:
    like = Cluster(workers=2, killed=((0, 4.0),), detection=1.0, restart=1000.0)
    seconds, account, results = simulate(like, [1.0] * 20)
    # Both have ten items. One dies at 4, which is known at 5; its ten come in four pieces (3, 3,
    # 2, 2) to the other, which has its own ten done at 10.
    assert seconds == pytest.approx(20, abs=0.5)
    assert (account.lost, account.deaths) == (pytest.approx(4.0), 1)
    assert results == [1.0] * 20


def test_a_worker_that_comes_back_sets_up_again() -> None:
    like = Cluster(workers=1, killed=((0, 4.0),), detection=1.0, restart=2.0, set_up=3.0)
    seconds, account, results = simulate(like, [1.0, 1.0])
    # Ready at 3, dead at 4, back at 6, which is seen within half a second, ready at 9.5 at most.
    assert account.set_up == 6.0
    assert 11 <= seconds <= 11.5
    assert results == [1.0, 1.0]


def test_what_takes_too_long_is_tried_alone_and_then_given_up() -> None:
    like = Cluster(workers=2, restart=0.0, detection=0.0)
    _, account, results = simulate(like, [1.0, 1.0, 1.0, 100.0], timeout=10.0)
    assert results == [1.0, 1.0, 1.0, -100.0]  # what a job says of an item that failed
    assert account.deaths == 1 + 3  # in company, and three times alone


def test_a_worker_that_dies_while_a_task_is_packed_for_it_loses_the_task() -> None:
    like = Cluster(workers=1, message=2.0, killed=((0, 3.0),), detection=1.0, restart=1.0)
    # Ready at 2; what is sent at 4 would be to a worker that died at 3.
    seconds, account, results = simulate(like, [1.0])
    assert (account.deaths, account.lost) == (1, 0.0)
    assert results == [1.0]
    assert seconds < 12


@settings(max_examples=25, deadline=None)
@given(
    items=st.lists(st.floats(0.01, 5.0), min_size=1, max_size=40),
    workers=st.integers(1, 9),
    losses=st.sampled_from([0.0, 20.0]),
    per_task=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 3),
)
def test_every_item_is_done_once_and_never_faster_than_work_by_workers(
    items, workers, losses, per_task, seed
) -> None:
    like = Cluster(workers=workers, losses=losses, seed=seed, latency=0.01, message=0.001)
    first, second = (simulate(like, items, items_per_task=per_task) for _ in range(2))
    seconds, account, results = first
    assert results == items
    assert account.worked == pytest.approx(sum(items))
    assert seconds >= max(sum(items) / workers, *items) - 1e-9
    assert (seconds, account) == second[:2]


def test_a_search_of_equal_formulas_takes_what_they_take() -> None:
    # 40 formulas of one second (50 networks at 0.02) on 4 workers: 10 s a generation, of which
    # a million formulas have 25,000; with half a second each for ranking in one process, 30 s.
    like = Cluster(workers=4)
    plan = Plan(population=40, spread=0.0, foresight=0.0, ranking=0.0)
    course = simulate_search(like, plan)
    assert course.hours == pytest.approx(10 * 25_000 / 3600)
    assert (course.shares["evaluating"], course.tasks) == (pytest.approx(1.0), 4)
    ranked = simulate_search(like, Plan(population=40, spread=0.0, foresight=0.0, ranking=0.5))
    assert ranked.hours == pytest.approx(30 * 25_000 / 3600)
    assert ranked.ranking == pytest.approx(2 / 3)
    assert ranked.shares["waiting"] == pytest.approx(2 / 3)
    there = Plan(population=40, spread=0.0, foresight=0.0, ranking=0.5, ranking_here=False)
    assert simulate_search(like, there).hours == pytest.approx(15 * 25_000 / 3600)


def test_what_is_before_all_are_ready_does_not_count() -> None:
    slow = Cluster(workers=2, set_up=100.0)
    plan = Plan(population=4, spread=0.0, foresight=0.0)
    course = simulate_search(slow, plan)
    assert course.hours == pytest.approx(2 * 250_000 / 3600)


def test_a_task_for_each_network_has_the_same_work_and_more_messages() -> None:
    whole, apart = Plan(population=7), Plan(population=7, networks_apart=True, per_task=1)
    assert sum(costs_of(whole, 1)) == pytest.approx(sum(costs_of(apart, 1)))
    assert len(costs_of(apart, 1)) == 7 * 50
    like = Cluster(workers=2, message=0.1)
    assert simulate_search(like, apart).messages > 5 * simulate_search(like, whole).messages


def test_shares_are_of_about_equal_cost_and_hold_each_item_once() -> None:
    items = costs_of(Plan(population=200), 0)
    parts = shares_of(Plan(foresight=0.0), items, 8)
    assert sorted(place for part in parts for place in part) == list(range(200))
    loads = [sum(items[place] for place in part) for part in parts]
    assert max(loads) - min(loads) <= max(items)


def test_lines_have_what_a_course_says() -> None:
    course = simulate_search(Cluster(workers=2), Plan(population=4, spread=0.0, foresight=0.0))
    (_, _, line) = lines({"two": course})
    assert line == "| two | 138.9 | 2 | 100 % | 0 % | 0 % | 0 % |"


@pytest.mark.slow
@pytest.mark.parametrize("slow", [False, True])
def test_a_dask_cluster_takes_what_its_simulation_does(slow) -> None:
    pytest.importorskip("distributed", reason="needs pip install gp_emq[dask]")
    trial = Trial("halves", [0.5] * 4, slow=slow)
    simulated = on_paper(trial, Cluster(workers=2))
    assert simulated == pytest.approx(SLOWNESS if slow else 1.0)
    assert simulated <= really(trial, workers=2) < simulated + KILLED_AFTER
