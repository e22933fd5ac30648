"""Tables are found again up to row offsets and a factor, and nothing else is taken for them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gp_emq.evolution import Archive, centred
from gp_emq.evolution._archive import TABLE_TOLERANCE, _projection, _unit
from gp_emq.store import BenchRow, IndividualRow

SEEDS = st.integers(0, 10**6)
SHAPES = st.sampled_from([(2, 2), (4, 3), (20, 3), (18, 7)])
SEVERAL = st.lists(SHAPES, min_size=2, max_size=4)


def random_table(shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def random_tables(shapes, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(10.0 ** rng.integers(-8, 8) * rng.normal(size=shape) for shape in shapes)


def row_of(identifier: int, *tables: np.ndarray, canonical: str = "", **values) -> IndividualRow:
    canonical = canonical or f"form {identifier}"
    return IndividualRow(
        id=identifier, generation=0, place=0, attempt=0, operator="fresh", parents=(),
        expression=canonical, canonical=canonical, size=1, depth=0,
        benches=tuple(BenchRow(f"bench {place}", table=one) for place, one in enumerate(tables)),
        **values,
    )  # fmt: skip


def archive_of(*formulas) -> Archive:
    """Of formulas with one table each, or one for each network."""
    archive = Archive()
    for identifier, tables in enumerate(formulas):
        archive.remember(row_of(identifier, *(tables if isinstance(tables, tuple) else (tables,))))
    return archive


@given(shape=SHAPES, seed=SEEDS, factor=st.floats(-1e12, 1e12), spread=st.floats(0, 100))
def test_row_offsets_and_a_factor_make_no_new_table(shape, seed, factor, spread) -> None:
    assume(abs(factor) > 1e-12)
    table = random_table(shape, seed)
    offsets = spread * np.random.default_rng(seed + 1).normal(size=(shape[0], 1))
    archive = archive_of(random_table(shape, seed + 2), table)
    assert archive.same_tables((factor * (table + offsets),)) == 1


@given(shape=SHAPES, seed=SEEDS, factor=st.sampled_from([1.0, -1.0, 1e-30, -7e20]))
def test_tables_differ_beyond_the_tolerance_and_not_within(shape, seed, factor) -> None:
    """Both sides of a billionth of the length of the centred table."""
    table = centred(random_table(shape, seed))
    nudge = centred(random_table(shape, seed + 1))
    nudge -= table * (np.sum(nudge * table) / np.sum(table * table))
    nudge *= np.linalg.norm(table) / np.abs(nudge).max()
    archive = archive_of(table)
    assert archive.same_tables((factor * (table + 0.3 * TABLE_TOLERANCE * nudge),)) == 0
    assert archive.same_tables((factor * (table + 5 * TABLE_TOLERANCE * nudge),)) is None


@given(shape=st.sampled_from([(4, 3), (20, 3)]), seeds=st.lists(SEEDS, min_size=2, unique=True))
def test_different_tables_are_told_apart(shape, seeds) -> None:
    tables = [random_table(shape, seed) for seed in seeds]
    archive = archive_of(*tables[:-1])
    assert archive.same_tables((tables[-1],)) is None
    found = [archive.same_tables((table,)) for table in tables[:-1]]
    assert found == list(range(len(tables) - 1))


@given(seed=SEEDS)
def test_a_table_whose_projection_vanishes_is_found_whichever_its_sign(seed) -> None:
    rng = np.random.default_rng(seed)
    direction = np.array([_projection(row) for row in np.eye(12)])
    direction = centred(direction.reshape(4, 3)).ravel()
    table = centred(rng.normal(size=(4, 3))).ravel()
    table -= direction * (table @ direction) / (direction @ direction)
    table = table.reshape(4, 3)
    assert abs(_projection(_unit(table)[0])) < 1e-14
    archive = archive_of(random_table((4, 3), seed + 1), table)
    for factor in (1, -1, 3, -1e-9):
        assert archive.same_tables((factor * table,)) == 1


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e300])
def test_no_scale_overflows_or_vanishes(scale) -> None:
    table = np.round(random_table((4, 3), 0), 1)
    assert archive_of(table * scale).same_tables((-table * scale,)) == 0


def test_constant_tables_are_one_table() -> None:
    archive = archive_of(np.zeros((4, 3)))
    assert archive.same_tables((np.full((4, 3), 5.0),)) == 0
    assert archive.same_tables((random_table((4, 3), 0),)) is None


def test_an_empty_archive_finds_nothing() -> None:
    assert Archive().same_tables((random_table((4, 3), 0),)) is None


class TestSeveralNetworks:
    @given(shapes=SEVERAL, seed=SEEDS, factor=st.floats(-1e12, 1e12))
    def test_one_factor_for_all_and_row_offsets_make_nothing_new(
        self, shapes, seed, factor
    ) -> None:
        assume(abs(factor) > 1e-12)
        tables = random_tables(shapes, seed)
        archive = archive_of(random_tables(shapes, seed + 1), tables)
        again = tuple(factor * (t + np.abs(t).max() * np.arange(len(t))[:, None]) for t in tables)
        assert archive.same_tables(again) == 1

    @given(shapes=SEVERAL, seed=SEEDS, factor=st.sampled_from([-1.0, 1.0001, 3.0, 1e-9, -1e9]))
    def test_a_factor_of_one_network_alone_makes_another_formula(
        self, shapes, seed, factor
    ) -> None:
        tables = random_tables(shapes, seed)
        for place in range(len(tables)):
            changed = list(tables)
            changed[place] = factor * changed[place]
            assert archive_of(tables).same_tables(tuple(changed)) is None

    @given(shapes=SEVERAL, seed=SEEDS)
    def test_a_difference_on_one_network_counts_however_small_its_tables_are(
        self, shapes, seed
    ) -> None:
        tables = random_tables(shapes, seed)
        for place in range(len(tables)):
            changed = list(tables)
            changed[place] = changed[place] + 1e-3 * np.abs(changed[place]).max() * random_table(
                shapes[place], seed + 1
            )
            assert archive_of(tables).same_tables(tuple(changed)) is None

    def test_a_network_on_which_nothing_varies_still_has_to_agree_elsewhere(self) -> None:
        flat, one, other = np.zeros((4, 3)), random_table((4, 3), 0), random_table((4, 3), 1)
        archive = archive_of((flat, one), (flat, flat))
        assert archive.same_tables((flat, -2 * one)) == 0
        assert archive.same_tables((flat, other)) is None
        assert archive.same_tables((one, flat)) is None
        assert archive.same_tables((flat, flat)) == 1


class TestArchive:
    table = random_table((4, 3), 0)

    def test_a_canonical_form_is_seen_once_an_individual_of_it_was_accepted(self) -> None:
        archive = Archive()
        assert archive.seen("square(bits)") is None
        row = row_of(7, self.table, canonical="square(bits)")
        archive.remember(row)
        assert archive.seen("square(bits)") == 7
        assert archive.same_tables((-2 * self.table,)) == 7
        assert archive[7] is row

    def test_the_first_individual_of_a_form_stands_for_it(self) -> None:
        archive = Archive()
        archive.remember(row_of(1, self.table, canonical="bits"))
        archive.remember(row_of(2, random_table((4, 3), 1), canonical="bits"))
        assert archive.seen("bits") == 1

    def test_another_way_of_writing_the_same_table_is_an_alias(self) -> None:
        archive = Archive()
        archive.remember(row_of(1, self.table, canonical="bits"))
        archive.remember(row_of(2, -self.table, canonical="negate(bits)", reason="duplicate table"))
        assert archive.seen("negate(bits)") == 1

    def test_rejection_is_of_one_way_of_writing_alone(self) -> None:
        archive = Archive()
        archive.remember(row_of(1, canonical="sqrt(square(log(bits)))", reason="not finite"))
        assert archive.is_rejected("sqrt(square(log(bits)))")
        assert not archive.is_rejected("abs(log(bits))")
        assert archive.seen("abs(log(bits))") is None

    def test_what_was_never_evaluated_may_be_proposed_again(self) -> None:
        archive = Archive()
        archive.remember(row_of(1, canonical="bits", reason="too large"))
        assert not archive.is_rejected("bits")
