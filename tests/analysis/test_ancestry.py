from dataclasses import replace

import pytest

from analysis._ancestry import ancestry_of, layers_of, turning_points
from gp_emq.store import IndividualRow, RunStore


def row(id_, generation, tau, parents=()):
    return IndividualRow(
        id=id_, generation=generation, place=0, attempt=0,
        operator="crossover" if len(parents) == 2 else "mutation" if parents else "fresh",
        parents=parents, expression="weight", canonical="weight", size=1, depth=0,
        training_tau=tau, validation_tau=tau, sign=1,
    )  # fmt: skip


FAMILY = [
    row(1, 0, 0.1),
    row(2, 0, 0.3),
    row(3, 0, 0.2),
    row(4, 1, 0.4, (1, 2)),
    row(5, 1, 0.35, (3,)),
    row(6, 1, 0.45, (4,)),  # in the same generation as its parent
    row(7, 4, 0.6, (6, 5)),
]


def test_everyone_contributes_a_share():
    contributions = ancestry_of(FAMILY, 7).contributions
    # By hand: 7 has two parents, 6 and 5; 4 has two, 1 and 2.
    assert contributions == {7: 1.0, 6: 0.5, 5: 0.5, 4: 0.5, 3: 0.5, 2: 0.25, 1: 0.25}


def test_the_main_line_follows_the_fitter_parent():
    assert ancestry_of(FAMILY, 7).main_line == (2, 4, 6, 7)


def test_a_small_ancestry_is_shown_whole():
    ancestry = ancestry_of(FAMILY, 7)
    assert [shown.id for shown in ancestry.shown] == [1, 2, 3, 4, 5, 6, 7]
    assert ancestry.cut == frozenset()
    assert sorted(ancestry.edges) == [(1, 4), (2, 4), (3, 5), (4, 6), (5, 7), (6, 7)]


@pytest.mark.parametrize(
    ("most", "shown", "cut"),
    [(1, {2, 4, 6, 7}, {4, 7}), (5, {2, 4, 5, 6, 7}, {4, 5}), (6, {2, 3, 4, 5, 6, 7}, {4})],
)
def test_a_large_ancestry_keeps_those_that_contribute_most(most, shown, cut):
    ancestry = ancestry_of(FAMILY, 7, most=most)
    assert {individual.id for individual in ancestry.shown} == shown
    assert ancestry.cut == cut
    assert ancestry.total == 7


def test_a_parent_given_twice_is_one_edge():
    family = [row(1, 0, 0.1), replace(row(2, 1, 0.2, (1, 1)), operator="crossover")]
    ancestry = ancestry_of(family, 2)
    assert ancestry.edges == [(1, 2)]
    assert ancestry.contributions[1] == 1.0


def test_children_come_after_parents_of_their_generation():
    assert layers_of(FAMILY)[4] == (1, 0)
    assert layers_of(FAMILY)[6] == (1, 1)
    assert layers_of(FAMILY)[7] == (4, 0)


def test_turning_points_are_the_ends_and_the_steepest_rises():
    ancestry = ancestry_of(FAMILY, 7)
    assert [point.id for point in turning_points(ancestry, 2)] == [2, 7]
    assert [point.id for point in turning_points(ancestry, 3)] == [2, 4, 7]


def test_someone_without_ancestors_is_their_own_ancestry():
    ancestry = ancestry_of(FAMILY[:1], 1)
    assert ancestry.main_line == (1,)
    assert [point.id for point in turning_points(ancestry, 6)] == [1]


def test_what_is_shown_of_a_run_hangs_together(finished_run):
    with RunStore.open(finished_run, readonly=True) as store:
        root = store.meta("summary")["best"]
        ancestry = ancestry_of(store.ancestry(root), root, most=50)
    reached, children = {root}, dict.fromkeys(ancestry.main_line)
    parents: dict[int, list[int]] = {}
    for parent, child in ancestry.edges:
        parents.setdefault(child, []).append(parent)
    queue = [root]
    while queue:
        found = [parent for parent in parents.get(queue.pop(), []) if parent not in reached]
        reached.update(found)
        queue += found
    assert reached == {individual.id for individual in ancestry.shown}
    assert set(children) <= reached
    assert len(reached) == max(50, len(ancestry.main_line))
