import csv
import json
import os
import stat
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.errors import RunError
from gp_emq.files import atomic_write_text
from gp_emq.store import (
    HallOfFame,
    Member,
    Provenance,
    read_hall_of_fame,
    write_hall_of_fame,
    write_logbook,
)

PROVENANCE = Provenance(
    bench="digits",
    bench_sha256="ab" * 32,
    statistics_sha256="cd" * 32,
    primitive_set="bit_aware",
    seed=3,
    generations=100,
    evaluations=4000,
)
SMALL = Member(
    id=12,
    generation=1,
    expression="times_bits(mean(weight))",
    canonical="times_bits(mean(weight))",
    formula="b · mean(W)",
    size=3,
    depth=2,
    training_tau=0.5,
    validation_tau=0.1 + 0.2,
    sign=-1,
    best=False,
)
LARGE = replace(SMALL, id=7, size=9, depth=4, training_tau=0.75, best=True, sign=1)
FRONT = HallOfFame(PROVENANCE, (SMALL, LARGE))


def test_a_hall_of_fame_comes_back(tmp_path):
    path = tmp_path / "hall_of_fame.json"
    write_hall_of_fame(path, FRONT)
    assert read_hall_of_fame(path) == FRONT
    assert read_hall_of_fame(tmp_path).best == LARGE


def test_equal_halls_of_fame_are_equal_bytes_whatever_the_order(tmp_path):
    write_hall_of_fame(tmp_path / "a", FRONT)
    write_hall_of_fame(tmp_path / "b", HallOfFame(PROVENANCE, (LARGE, SMALL)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    text = (tmp_path / "a").read_text(encoding="utf-8")
    assert "0.30000000000000004" in text
    assert "b · mean(W)" in text
    keys = list(json.loads(text)["members"][0])
    assert keys == sorted(keys)


@pytest.mark.parametrize("members", [(), (SMALL,), (LARGE, replace(LARGE, id=8))])
def test_exactly_one_member_is_the_best(tmp_path, members):
    with pytest.raises(ValueError, match="exactly one"):
        write_hall_of_fame(tmp_path / "x", HallOfFame(PROVENANCE, members))
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    bad = replace(LARGE, validation_tau=float("nan"))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_hall_of_fame(tmp_path / "x", HallOfFame(PROVENANCE, (bad,)))


def change(path, alter):
    content = json.loads(path.read_text())
    alter(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda c: c.pop("members"), "it lacks 'members'"),
        (lambda c: c.update(format=9), "format 9"),
        (lambda c: c.update(members={}), "members is {}, not a list"),
        (lambda c: c["members"].append(3), r"members\[2\] is 3, not an object"),
        (lambda c: c["members"][0].pop("sign"), r"members\[0\] lacks 'sign'"),
        (lambda c: c["members"][0].update(date="today"), r"unknown 'members\[0\]\.date'"),
        (lambda c: c["members"][1].update(size="9"), "size is '9', not a whole number"),
        (lambda c: c["members"][1].update(size=True), "size is True, not a whole number"),
        (lambda c: c["members"][1].update(best=1), r"members\[1\]\.best is 1, not true or false"),
        (lambda c: c["members"][1].update(expression=None), "expression is None, not text"),
        (lambda c: c["members"][1].update(training_tau=float("inf")), "is no JSON"),
        (lambda c: c["members"][1].update(training_tau=1.5), "outside"),
        (lambda c: c["members"][1].update(sign=0), "sign is 0"),
        (lambda c: c["members"][1].update(best=False), "exactly one"),
        (
            lambda c: c["provenance"].update(seed=1.5),
            r"provenance\.seed is 1\.5, not a whole number",
        ),
    ],
)
def test_a_damaged_hall_of_fame_gives_one_clear_line(tmp_path, alter, message):
    path = tmp_path / "hall_of_fame.json"
    write_hall_of_fame(path, FRONT)
    change(path, alter)
    with pytest.raises(RunError, match=message) as caught:
        read_hall_of_fame(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_hall_of_fame_is_named(tmp_path):
    with pytest.raises(RunError, match="cannot read"):
        read_hall_of_fame(tmp_path)
    (tmp_path / "hall_of_fame.json").write_text("half of a {")
    with pytest.raises(RunError, match="is no JSON"):
        read_hall_of_fame(tmp_path)
    (tmp_path / "hall_of_fame.json").write_text("[1]")
    with pytest.raises(RunError, match="of another kind: it has no format"):
        read_hall_of_fame(tmp_path)


def test_a_logbook_has_a_line_per_generation_and_a_column_per_reason(tmp_path, make_generation):
    rows = [make_generation(0)[1], make_generation(1)[1]]
    rows[1] = replace(rows[1], rejections={"not finite": 4})
    write_logbook(tmp_path / "logbook.csv", rows)
    with (tmp_path / "logbook.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [line["generation"] for line in read] == ["0", "1"]
    assert [line["best_training"] for line in read] == ["0.5", "0.5"]
    assert [line["rejected: duplicate"] for line in read] == ["1", "0"]
    assert [line["rejected: not finite"] for line in read] == ["0", "4"]


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_text_is_written_as_it_is(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("files") / "file.txt"
    path.write_text("before")
    atomic_write_text(path, text)
    assert path.read_bytes() == text.encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(RunError, match="No space left on device"):
        atomic_write_text(path, "after")
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_new_file_is_on_the_disk_before_it_takes_the_place_of_the_old(
    disk, tmp_path, monkeypatch
):
    path, seen, fsync = tmp_path / "file.txt", [], os.fsync
    path.write_text("before")

    def synced(descriptor):
        fsync(descriptor)
        seen.append((path.read_text(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", synced)
    atomic_write_text(path, "after")
    assert seen == [("before", len("after"))]
    assert path.read_text() == "after"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunError, match="cannot write"):
        atomic_write_text(tmp_path / "missing" / "file.txt", "text")


def test_written_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "ordinary").write_text("x")
    atomic_write_text(tmp_path / "ours", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "ours")}
    assert len(modes) == 1
