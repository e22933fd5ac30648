"""Work is laid out in tasks of one group each: large ones first, and not too many."""

from hypothesis import given
from hypothesis import strategies as st

from gp_emq.farm import lay_out
from gp_emq.farm._layout import FEW, LAST, LEAST, PER_WORKER


def turns(places, pieces) -> list[tuple[int, ...]]:
    return [tuple(places[start::pieces]) for start in range(pieces)]


def grouped(sizes) -> list[list[int]]:
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [list(range(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@given(
    groups=st.lists(st.tuples(st.integers(0, 60), st.floats(0.1, 100)), min_size=1, max_size=12),
    workers=st.integers(1, 200),
)
def test_every_item_has_one_place_in_a_task_of_its_group(groups, workers) -> None:
    places = grouped([size for size, _ in groups])
    tasks = lay_out(places, [weight for _, weight in groups], workers, turns)
    assert all(tasks)
    assert sorted(place for task in tasks for place in task) == list(range(sum(map(len, places))))
    for task in tasks:
        assert any(set(task) <= set(group) for group in places)


@given(sizes=st.lists(st.integers(1, 2000), min_size=2, max_size=30), workers=st.integers(9, 300))
def test_there_are_no_more_tasks_than_workers_and_items_ask_for(sizes, workers) -> None:
    tasks = lay_out(grouped(sizes), [1.0] * len(sizes), workers, turns)
    rounding = len(sizes)
    assert len(tasks) <= workers * (1 + LAST) + sum(sizes) / LEAST + rounding


def test_one_group_on_one_machine_has_a_task_for_each_worker() -> None:
    for workers in (1, 2, FEW):
        assert lay_out([list(range(40))], [1.0], workers, turns) == turns(range(40), workers)


def test_two_workers_keep_networks_whole_that_are_as_many_as_their_tasks() -> None:
    groups = grouped([10, 10, 10, 10])
    assert lay_out(groups, [1.0] * 4, 2, turns) == [tuple(group) for group in groups]


def test_dear_groups_come_first_and_tasks_become_smaller() -> None:
    groups = grouped([1000] * 50)
    tasks = lay_out(groups, [float(number) for number in range(1, 51)], 16, turns)
    assert tasks[0][0] == 49_000
    costs = [sum(1 + place // 1000 for place in task) for task in tasks]
    whole = sum(costs)
    # The first is a quarter of a worker's part of all; the last ones are much less than that.
    assert costs[0] <= 1.3 * whole / (16 * PER_WORKER)
    assert max(costs[-16:]) < costs[0] / 20
