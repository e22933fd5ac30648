"""A store of the format before is read as it is, and brought up to date when its run goes on."""

import sqlite3

import numpy as np
import pytest
from fuzz._old_store import as_format_1

from gp_emq.errors import RunError
from gp_emq.store import STORE_NAME, RunStore


@pytest.fixture
def old(store, make_generation):
    """The folder of a store in the old format, and what it holds."""
    for number in range(3):
        store.commit_generation(*make_generation(number))
    held = store.individuals(), store.generations()
    store.close()
    as_format_1(store.folder)
    return store.folder, held


def format_of(folder) -> str:
    connection = sqlite3.connect(folder / STORE_NAME)
    (found,) = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    connection.close()
    return found


def assert_holds(store: RunStore, held) -> None:
    individuals, generations = held
    read = store.individuals()
    assert (read, store.generations()) == (individuals, generations)
    for before, after in zip(individuals, read, strict=True):
        assert [bench.bench for bench in after.benches] == ["digits"]
        np.testing.assert_array_equal(after.tables, before.tables)


def test_it_is_read_without_a_change_of_the_file(old) -> None:
    folder, held = old
    before = (folder / STORE_NAME).read_bytes()
    with RunStore.open(folder, readonly=True) as store:
        assert_holds(store, held)
        assert [row.id for row in store.ancestry(11)] == [1, 6, 11]
        with pytest.raises(RunError, match="readonly"):
            store.set_meta("summary", {})
    assert (folder / STORE_NAME).read_bytes() == before


def test_a_run_that_goes_on_has_the_new_format_from_then_on(old, make_generation) -> None:
    folder, (individuals, generations) = old
    assert format_of(folder) == "1"
    more = make_generation(3)
    with RunStore.open(folder) as store:
        store.commit_generation(*more)
    assert format_of(folder) == "2"
    with RunStore.open(folder, readonly=True) as store:
        assert_holds(store, (individuals + more[0], [*generations, more[1]]))


@pytest.mark.parametrize("readonly", [True, False])
def test_one_that_was_changed_since_is_not_believed(old, readonly) -> None:
    folder, _ = old
    connection = sqlite3.connect(folder / STORE_NAME)
    with connection:
        connection.execute("UPDATE individuals SET scores_table = zeroblob(48) WHERE id = 7")
    connection.close()
    with pytest.raises(RunError, match="its generation 1 is not what was written"):
        RunStore.open(folder, readonly=readonly)
    assert format_of(folder) == "1"


def test_a_kill_while_it_is_brought_up_to_date_leaves_the_old_one(old, monkeypatch) -> None:
    folder, held = old
    before = (folder / STORE_NAME).read_bytes()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gp_emq.store._upgrade.seal", die)
    with pytest.raises(KeyboardInterrupt):
        RunStore.open(folder)
    monkeypatch.undo()
    assert (folder / STORE_NAME).read_bytes() == before
    with RunStore.open(folder) as store:
        assert_holds(store, held)


def test_one_without_checksums_or_the_name_of_its_bench_is_read_too(old) -> None:
    folder, _ = old
    connection = sqlite3.connect(folder / STORE_NAME)
    with connection:
        connection.execute("DROP TABLE checksums")
        connection.execute("DELETE FROM meta WHERE key = 'bench'")
    connection.close()
    with RunStore.open(folder) as store:
        assert all(len(row.tables) == 1 for row in store.individuals())
