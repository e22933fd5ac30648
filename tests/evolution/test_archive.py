"""A table is found again up to row offsets and a factor, and nothing else is taken for it."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gp_emq.evolution import Archive, TableIndex, centred
from gp_emq.evolution._archive import TABLE_TOLERANCE, _projection, _unit

SEEDS = st.integers(0, 10**6)
SHAPES = st.sampled_from([(2, 2), (4, 3), (20, 3), (18, 7)])


def random_table(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def index_of(*tables: np.ndarray) -> TableIndex:
    index = TableIndex()
    for identifier, table in enumerate(tables):
        index.add(identifier, table)
    return index


@given(shape=SHAPES, seed=SEEDS, factor=st.floats(-1e12, 1e12), spread=st.floats(0, 100))
def test_row_offsets_and_a_factor_make_no_new_table(shape, seed, factor, spread) -> None:
    assume(abs(factor) > 1e-12)
    table = random_table(shape, seed)
    offsets = spread * np.random.default_rng(seed + 1).normal(size=(shape[0], 1))
    index = index_of(random_table(shape, seed + 2), table)
    assert index.find(factor * (table + offsets)) == 1


@given(shape=SHAPES, seed=SEEDS, factor=st.sampled_from([1.0, -1.0, 1e-30, -7e20]))
def test_tables_differ_beyond_the_tolerance_and_not_within(shape, seed, factor) -> None:
    """Both sides of a billionth of the length of the centred table."""
    table = centred(random_table(shape, seed))
    nudge = centred(random_table(shape, seed + 1))
    nudge -= table * (np.sum(nudge * table) / np.sum(table * table))
    nudge *= np.linalg.norm(table) / np.abs(nudge).max()
    index = index_of(table)
    assert index.find(factor * (table + 0.3 * TABLE_TOLERANCE * nudge)) == 0
    assert index.find(factor * (table + 5 * TABLE_TOLERANCE * nudge)) is None


@given(shape=st.sampled_from([(4, 3), (20, 3)]), seeds=st.lists(SEEDS, min_size=2, unique=True))
def test_different_tables_are_told_apart(shape, seeds) -> None:
    tables = [random_table(shape, seed) for seed in seeds]
    index = index_of(*tables[:-1])
    assert index.find(tables[-1]) is None
    assert [index.find(table) for table in tables[:-1]] == list(range(len(tables) - 1))


@given(seed=SEEDS)
def test_a_table_whose_projection_vanishes_is_found_whichever_its_sign(seed) -> None:
    rng = np.random.default_rng(seed)
    direction = np.array([_projection(row) for row in np.eye(12)])
    direction = centred(direction.reshape(4, 3)).ravel()
    table = centred(rng.normal(size=(4, 3))).ravel()
    table -= direction * (table @ direction) / (direction @ direction)
    table = table.reshape(4, 3)
    assert abs(_projection(_unit(table))) < 1e-14
    index = index_of(random_table((4, 3), seed + 1), table)
    for factor in (1, -1, 3, -1e-9):
        assert index.find(factor * table) == 1


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300])
def test_no_scale_overflows_or_vanishes(scale) -> None:
    table = np.round(random_table((4, 3), 0), 1)
    assert index_of(table * scale).find(-table * scale) == 0


def test_constant_tables_are_one_table() -> None:
    index = index_of(np.zeros((4, 3)))
    assert index.find(np.full((4, 3), 5.0)) == 0
    assert index.find(random_table((4, 3), 0)) is None


def test_an_empty_index_finds_nothing() -> None:
    assert TableIndex().find(random_table((4, 3), 0)) is None


class TestArchive:
    def test_a_canonical_form_is_seen_once_an_individual_of_it_was_accepted(self) -> None:
        archive = Archive()
        assert archive.seen("square(bits)") is None
        archive.accept(7, "square(bits)", random_table((4, 3), 0))
        assert archive.seen("square(bits)") == 7
        assert archive.same_table(-2 * random_table((4, 3), 0)) == 7

    def test_the_first_individual_of_a_form_stands_for_it(self) -> None:
        archive = Archive()
        archive.accept(1, "bits", random_table((4, 3), 0))
        archive.accept(2, "bits", random_table((4, 3), 1))
        archive.alias(3, "bits")
        assert archive.seen("bits") == 1

    def test_another_way_of_writing_the_same_table_is_an_alias(self) -> None:
        archive = Archive()
        archive.accept(1, "bits", random_table((4, 3), 0))
        archive.alias(1, "log(bits)")
        assert archive.seen("log(bits)") == 1

    def test_rejection_is_of_one_way_of_writing_alone(self) -> None:
        archive = Archive()
        archive.reject("sqrt(square(log(bits)))")
        assert archive.is_rejected("sqrt(square(log(bits)))")
        assert not archive.is_rejected("abs(log(bits))")
        assert archive.seen("abs(log(bits))") is None
