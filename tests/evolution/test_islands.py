"""Islands breed and select for themselves, and send their best round a ring."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gp_emq.errors import RunError
from gp_emq.evolution._islands import MIGRANTS, Islands
from gp_emq.evolution._selection import SELECTIONS
from gp_emq.experiment import RunConfiguration

EVERY = 3


def islands_of(search, selection: str, count: int) -> Islands:
    size, chosen = len(search.population), SELECTIONS[selection]()
    return Islands(count, size, chosen.offspring(size), chosen.fresh(size))


def rows_of(search, generations: int) -> list:
    return [
        replace(row, seconds=0.0)
        for _ in range(generations)
        if search.step()
        for row in search.rows
    ]


@given(
    count=st.integers(1, 9), size=st.integers(1, 60), fresh=st.integers(0, 60),
    generation=st.integers(0, 1),
)  # fmt: skip
def test_every_place_is_of_one_island_and_islands_are_of_about_equal_size(
    count, size, fresh, generation
) -> None:
    islands = Islands(count, size, size, fresh)
    sizes = np.bincount([islands.island_at(generation, p) for p in range(size)], minlength=count)
    assert sizes.tolist() == [islands.members(island) for island in range(count)]
    assert sizes.max() - sizes.min() <= 1
    places = [islands.island_at(1, size + place) for place in range(fresh)]
    assert places == sorted(places)
    assert len(np.bincount(places, minlength=count)) == count
    for island in range(count):
        for number in range(MIGRANTS):
            place = size + fresh + island * MIGRANTS + number
            assert islands.island_at(1, place) == island


@pytest.mark.parametrize("selection", ["diversity", "emq", "lexicase"])
def test_one_island_is_the_search_as_it_was(tiny, selection) -> None:
    found = []
    for settings in ({}, {"islands": 1, "migration_every": 1}):
        search = tiny.search(selection=selection, population=8, seed=2, **settings)
        found.append(rows_of(search, 5))
    assert found[0] == found[1]
    assert not any(row.operator == "migration" for row in found[0])


@pytest.mark.parametrize("selection", ["diversity", "emq", "lexicase", "tournament"])
def test_parents_are_neighbours_and_migrants_come_from_the_island_before(tiny, selection) -> None:
    count = 3
    search = tiny.search(
        selection=selection, population=12, seed=4, islands=count, migration_every=EVERY
    )
    search.step()
    islands = islands_of(search, selection, count)
    known, migrants = {}, 0
    for _ in range(7):
        known |= {one.identifier: one for one in search.population}
        before = islands.split(search.population)
        search.step()
        for row in search.rows:
            own = islands.island_of(row)
            if row.operator in ("crossover", "mutation"):
                assert {islands.island_of(known[parent].row) for parent in row.parents} == {own}
            if row.operator == "migration":
                migrants += 1
                assert search.generation % EVERY == 0
                (origin,) = row.parents
                assert islands.island_of(known[origin].row) == (own - 1) % count
                taus = sorted((one.tau for one in before[own - 1]), reverse=True)
                assert row.training_tau in taus[:MIGRANTS]
                assert row.training_tau == known[origin].tau
                assert row.expression == known[origin].expression
        for island, members in enumerate(islands.split(search.population)):
            assert len(members) <= islands.members(island)
    assert migrants > 0


def test_a_search_on_islands_goes_on_where_it_stopped(tiny) -> None:
    settings = {"population": 9, "seed": 6, "islands": 3, "migration_every": 2}
    whole = tiny.search(**settings)
    rows, generations = [], []
    for _ in range(7):
        generations.append(whole.step())
        rows += whole.rows
    expected = [replace(row, seconds=0.0) for row in rows]
    for stop in (3, 4):
        early = [row for row in rows if row.generation < stop]
        again = tiny.search(**settings)
        again.restore(early, generations[:stop])
        assert [replace(row, seconds=0.0) for row in early] + rows_of(again, 7 - stop) == expected
        assert [one.identifier for one in again.population] == list(generations[-1].population)
        fronts = [[one.expression for one in search.hall_of_fame] for search in (whole, again)]
        assert fronts[0] == fronts[1]


def test_migrants_cost_no_evaluation(tiny) -> None:
    search = tiny.search(population=8, seed=1, islands=4, migration_every=1)
    rows = rows_of(search, 4)
    migrants = [row for row in rows if row.operator == "migration"]
    assert migrants
    assert search.evaluations <= sum(row.accepted for row in rows) - len(migrants)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"islands": 0}, "islands cannot be 0"),
        ({"migration_every": 0}, "migration every cannot be 0"),
        ({"islands": 4, "population": 7}, "4 islands need a population of 8 at least, not 7"),
    ],
)
def test_wrong_islands_are_refused(given_, message) -> None:
    with pytest.raises(RunError, match=message):
        RunConfiguration(**given_)
