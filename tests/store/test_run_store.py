import json
import math
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gp_emq.errors import RunError
from gp_emq.store import STORE_NAME, BenchRow, GenerationRow, IndividualRow, RunStore

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**40)


BENCH_ROWS = st.builds(
    BenchRow,
    bench=TEXT,
    training_tau=st.none() | FINITE,
    validation_tau=st.none() | FINITE,
    table=st.none() | hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1)),
)


def individual_rows(id_: int) -> st.SearchStrategy[IndividualRow]:
    return st.builds(
        IndividualRow,
        id=st.just(id_),
        generation=st.just(0),
        place=COUNTS,
        attempt=COUNTS,
        operator=TEXT,
        parents=st.lists(COUNTS, max_size=3).map(tuple),
        expression=TEXT,
        canonical=TEXT,
        size=COUNTS,
        depth=COUNTS,
        training_tau=st.none() | FINITE,
        validation_tau=st.none() | FINITE,
        sign=st.sampled_from([None, -1, 1]),
        reason=st.none() | TEXT,
        seconds=FINITE,
        benches=st.lists(BENCH_ROWS, max_size=3, unique_by=lambda row: row.bench).map(tuple),
    )


GENERATION_ROWS = st.builds(
    GenerationRow,
    generation=st.just(0),
    population=st.lists(COUNTS, max_size=5).map(tuple),
    best_training=FINITE,
    median_training=FINITE,
    best_validation=FINITE,
    diversity=FINITE,
    evaluations=COUNTS,
    proposals=COUNTS,
    rejections=st.dictionaries(TEXT, COUNTS, max_size=4),
    seconds=FINITE,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    individuals=st.integers(0, 4).flatmap(
        lambda count: st.tuples(*(individual_rows(number) for number in range(count)))
    ),
    generation=GENERATION_ROWS,
)
def test_what_is_committed_is_what_is_read(tmp_path_factory, individuals, generation):
    folder = tmp_path_factory.mktemp("run")
    with RunStore.create(folder, {}, {}) as store:
        store.commit_generation(individuals, generation)
    with RunStore.open(folder, readonly=True) as store:
        read = store.individuals()
        assert read == list(individuals)
        assert store.generations() == [generation]
        assert store.last_generation() == generation
        accepted = [row for row in individuals if row.reason is None]
        assert store.individuals(accepted_only=True) == accepted
        for before, after in zip(individuals, read, strict=True):
            for one, other in zip(before.benches, after.benches, strict=True):
                assert (one.table is None) == (other.table is None)
                if one.table is not None:
                    np.testing.assert_array_equal(other.table, one.table)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    array=hnp.arrays(
        st.sampled_from([np.int8, np.uint8, np.int64, np.float32, ">f8", np.bool_, "U5"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_arrays_come_back_with_shape_and_values(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("run")
    with RunStore.create(folder, {}, {"array": array}) as store:
        read = store.array("array")
    assert read.shape == array.shape
    assert read.dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(read, array)


def test_a_table_times_its_sign_is_oriented(make_generation):
    individuals, _ = make_generation(0)
    (table,), (oriented,) = individuals[2].tables, individuals[2].oriented_tables
    np.testing.assert_array_equal(oriented, -table)
    assert replace(individuals[2], sign=None).oriented_tables == ()


def test_meta_keeps_what_it_was_given(store):
    assert store.meta("config") == {"seed": 1}
    store.set_meta("summary", {"best": 3, "front": [1, 3]})
    store.set_meta("summary", {"best": 4})
    with RunStore.open(store.folder) as again:
        assert again.meta("summary") == {"best": 4}
    assert store.meta_keys() == ["bench", "config", "created", "format", "summary"]
    assert store.array_names() == ["accuracies", "split"]


def test_a_number_that_is_none_comes_back_as_none(store, make_generation):
    individuals, generation = make_generation(0, members=1)
    rows = [replace(individuals[0], training_tau=math.nan)]
    store.commit_generation(rows, replace(generation, best_training=math.nan))
    assert store.individual(0).training_tau is None
    assert math.isnan(store.generations()[0].best_training)


def test_ancestry_is_everyone_that_an_individual_descends_from(store, make_generation):
    for number in range(3):
        individuals, generation = make_generation(number)
        if number == 2:  # a crossover of two lines that share an ancestor
            individuals[1] = replace(individuals[1], parents=(6, 7), operator="crossover")
        store.commit_generation(individuals, generation)
    assert [row.id for row in store.ancestry(11)] == [1, 2, 6, 7, 11]
    assert [row.id for row in store.ancestry(3)] == [3]
    with pytest.raises(RunError, match="no individual 99"):
        store.ancestry(99)


def test_a_failed_commit_leaves_nothing(store, make_generation):
    store.commit_generation(*make_generation(0))
    individuals, generation = make_generation(1)
    clash = [*individuals, replace(individuals[0], place=9)]
    with pytest.raises(RunError, match="cannot write"):
        store.commit_generation(clash, generation)
    assert len(store.individuals()) == 5
    assert store.last_generation() == make_generation(0)[1]
    store.commit_generation(individuals, generation)
    assert len(store.individuals()) == 10


@pytest.mark.parametrize("number", [1, 3])
def test_generations_follow_each_other(store, make_generation, number):
    with pytest.raises(RunError, match="goes on with 0"):
        store.commit_generation(*make_generation(number))
    assert store.last_generation() is None


def test_two_writers_cannot_both_commit_a_generation(store, make_generation):
    with RunStore.open(store.folder) as other:
        other.commit_generation(*make_generation(0))
    with pytest.raises(RunError, match="another process"):
        store.commit_generation(*make_generation(0))


def test_reading_only_changes_nothing(store, make_generation):
    with RunStore.open(store.folder, readonly=True) as reader:
        with pytest.raises(RunError, match="readonly"):
            reader.commit_generation(*make_generation(0))
        with pytest.raises(RunError, match="readonly"):
            reader.set_meta("summary", {})


@pytest.mark.parametrize(
    ("reader", "row"),
    [
        ("generations", "generation_row"),
        ("individuals", "individual_row"),
        ("individuals", "bench_row"),
    ],
)
def test_what_does_not_read_holds_no_lock(
    store, make_generation, monkeypatch, reader: str, row: str
) -> None:
    for number in range(2):
        store.commit_generation(*make_generation(number))

    def fail(*_: object) -> None:
        raise ValueError("not a row")

    monkeypatch.setattr(f"gp_emq.store._schema.{row}", fail)
    with pytest.raises(RunError, match="not a row") as error:
        getattr(store, reader)()
    # The error, and all that it has seen, is still held.
    with sqlite3.connect(store.folder / STORE_NAME, timeout=0, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
    other.close()
    assert error.value.__traceback__ is not None


def test_what_cannot_be_stored_is_refused(store, make_generation, tmp_path):
    individuals, generation = make_generation(0, members=1)
    flat = (BenchRow("digits", table=np.zeros(3)),)
    with pytest.raises(ValueError, match=r"\(entries, bits\)"):
        store.commit_generation([replace(individuals[0], benches=flat)], generation)
    with pytest.raises(ValueError, match="numbers and text"):
        RunStore.create(tmp_path / "other", {}, {"objects": np.array([{}])})
    with pytest.raises(ValueError, match="format"):
        store.set_meta("format", 2)
    assert not list((tmp_path / "other").iterdir())


def test_unknown_names_are_answered_with_the_known_ones(store):
    with pytest.raises(RunError, match="it has accuracies, split"):
        store.array("bits")
    with pytest.raises(RunError, match="it has bench, config"):
        store.meta("summary")


def test_a_run_is_not_overwritten(store):
    with pytest.raises(RunError, match="holds a run already"):
        RunStore.create(store.folder, {}, {})


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write to"):
        RunStore.create(tmp_path / "file" / "run", {}, {})


def not_a_run(folder: Path) -> None:
    (folder / STORE_NAME).unlink()


def not_a_database(folder: Path) -> None:
    (folder / STORE_NAME).write_bytes(b"no database at all\n" * 500)


def cut_short(folder: Path) -> None:
    path = folder / STORE_NAME
    os.truncate(path, path.stat().st_size // 2)


def overwritten_in_the_middle(folder: Path) -> None:
    path = folder / STORE_NAME
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


def another_database(folder: Path) -> None:
    (folder / STORE_NAME).unlink()
    connection = sqlite3.connect(folder / STORE_NAME)
    connection.execute("CREATE TABLE meta (key TEXT)")
    connection.close()


def another_format(folder: Path) -> None:
    connection = sqlite3.connect(folder / STORE_NAME)
    with connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (not_a_run, "is no run"),
        (not_a_database, "not a database"),
        (cut_short, "malformed"),
        (overwritten_in_the_middle, "malformed"),
        (another_database, "lacks the tables"),
        (another_format, "format 99"),
    ],
)
def test_a_damaged_run_gives_one_clear_line(store, make_generation, damage, message):
    for number in range(20):
        store.commit_generation(*make_generation(number))
    store.close()
    damage(store.folder)
    with pytest.raises(RunError, match=message) as caught:
        RunStore.open(store.folder)
    assert "\n" not in str(caught.value)
    assert str(store.folder) in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE individuals SET parents = 'nonsense'",
        "UPDATE measurements SET table_data = x'00'",
        "UPDATE measurements SET table_columns = 'four'",
        "UPDATE generations SET rejections = '{'",
    ],
)
def test_damaged_values_give_one_clear_line(store, make_generation, change):
    store.commit_generation(*make_generation(0))
    connection = sqlite3.connect(store.folder / STORE_NAME)
    with connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(RunError, match="damaged"):
        (store.individuals(), store.generations())


WRITER = """
import sys
from pathlib import Path
import numpy as np
from gp_emq.store import BenchRow, GenerationRow, IndividualRow, RunStore

store = RunStore.open(Path(sys.argv[1]))
last = store.last_generation()
number = 0 if last is None else last.generation + 1
while True:
    rows = [
        IndividualRow(id=number * 200 + k, generation=number, place=k, attempt=0, operator="seed",
                      parents=(), expression="weight", canonical="weight", size=1, depth=0,
                      benches=(BenchRow("b", table=np.full((20, 3), number, dtype=float)),))
        for k in range(200)
    ]
    store.commit_generation(rows, GenerationRow(
        generation=number, population=tuple(row.id for row in rows), best_training=0.0,
        median_training=0.0, best_validation=0.0, diversity=0.0, evaluations=0, proposals=0,
        rejections={}, seconds=0.0))
    number += 1
    print(number, flush=True)
"""


def test_a_commit_waits_for_the_disk(disk, store):
    with RunStore.open(store.folder) as opened:
        assert opened._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_last_completed_generation(store):
    for delay in (0.0, 0.003, 0.007, 0.011):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(store.folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3):
            completed = int(writer.stdout.readline())
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        completed = max([completed, *map(int, writer.stdout.read().split())])
        writer.wait()
        with RunStore.open(store.folder, readonly=True) as read:
            generations = read.generations()
            individuals = read.individuals()
        # What was reported is there; one more may be, if the kill came before the report.
        assert completed <= len(generations) <= completed + 1
        assert [row.generation for row in generations] == list(range(len(generations)))
        assert [row.id for row in individuals] == list(range(200 * len(generations)))


def test_arrays_of_a_store_are_little_endian_in_c_order(tmp_path):
    with RunStore.create(tmp_path, {}, {"x": np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])}):
        pass
    connection = sqlite3.connect(tmp_path / STORE_NAME)
    dtype, shape, data = connection.execute("SELECT dtype, shape, data FROM arrays").fetchone()
    connection.close()
    assert (dtype, json.loads(shape)) == ("<f8", [2, 2])
    assert data == b"".join(struct.pack("<d", v) for v in (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("UPDATE individuals SET training_tau = 0.625 WHERE id = 7", "generation 1"),
        ("UPDATE individuals SET sign = 1 WHERE id = 2", "generation 0"),
        ("UPDATE measurements SET training_tau = 0.625 WHERE individual = 7", "generation 1"),
        ("UPDATE measurements SET table_data = zeroblob(48) WHERE individual = 2", "generation 0"),
        ("DELETE FROM individuals WHERE id = 3", "generation 0"),
        ("UPDATE generations SET evaluations = 99 WHERE generation = 1", "generation 1"),
        ("UPDATE meta SET value = '{\"seed\": 2}' WHERE key = 'config'", "meta config"),
        ("UPDATE arrays SET data = zeroblob(16) WHERE name = 'accuracies'", "arrays"),
    ],
)
def test_a_value_that_was_changed_since_is_not_believed(store, make_generation, change, part):
    for number in (0, 1):
        store.commit_generation(*make_generation(number))
    store.set_meta("summary", {"best": 1})
    store.close()
    RunStore.open(store.folder).close()
    connection = sqlite3.connect(store.folder / STORE_NAME)
    with connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(RunError, match=f"damaged: its {part} is not what was written"):
        RunStore.open(store.folder)


def test_a_run_that_was_begun_without_checksums_goes_on(store, make_generation):
    store.commit_generation(*make_generation(0))
    store.close()
    connection = sqlite3.connect(store.folder / STORE_NAME)
    with connection:
        connection.execute("DROP TABLE checksums")
    connection.close()
    with RunStore.open(store.folder) as again:
        again.commit_generation(*make_generation(1))
        again.set_meta("summary", {})
    with RunStore.open(store.folder, readonly=True) as read:
        assert len(read.generations()) == 2
