"""Following a run: what is shown of it at any moment, and that it does not notice."""

import os
import pty
import signal
import sqlite3
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forked import Forked

from gp_emq import run as run_command
from gp_emq.cli._console import COMMANDS
from gp_emq.command import exit_status
from gp_emq.errors import RunError
from gp_emq.experiment._phases import RANDOM_SEARCH
from gp_emq.store import BenchRow, GenerationRow, IndividualRow, RunStore
from gp_emq.watch import main
from gp_emq.watching import _snapshot as snapshot_module
from gp_emq.watching._snapshot import WatchedRun
from gp_emq.watching._text import snapshot_lines

ROOT = Path(__file__).parents[2]
SMALL = ("--bench", "digits", "--gens", "12", "--pop", "10", "--no-figures", "--quiet")
META = {
    "config": {
        "bench": "digits", "primitives": "bit_aware", "selection": "diversity", "seed": 3,
        "more_benches": ["/somewhere/mine.safetensors"], "population": 4,
    },
    "generations": 4,
}  # fmt: skip
SUMMARY = {
    "evaluations": 8,
    "best": 5,
    "rows": [
        {"name": "evolved (diversity)", "size": 2, "training": 0.5, "validation": 0.25,
         "test": 0.75, "low": 0.7, "high": 0.8},
        {"name": "sum of bits", "size": 1, "training": 0.1, "validation": None, "test": 0.125,
         "low": 0.1, "high": 0.2},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def _columns_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def generation(number: int, seconds: float = 2.0) -> tuple[list[IndividualRow], GenerationRow]:
    """Four formulas, of which the third is best and two equal it but are longer."""
    taus = (0.25, 0.5, 0.5, 0.5)
    rows = [
        IndividualRow(
            id=4 * number + place, generation=number, place=place, attempt=0, operator="fresh",
            parents=(), expression=f"square(weight_{number}_{place})", canonical="x",
            size=(1, 9, 2, 9)[place], depth=1, training_tau=tau, validation_tau=0.125, sign=1,
            benches=(BenchRow("digits", tau, 0.125, np.ones((2, 3))),),
        )
        for place, tau in enumerate(taus)
    ]  # fmt: skip
    return rows, GenerationRow(
        generation=number, population=tuple(row.id for row in rows), best_training=0.5,
        median_training=0.5, best_validation=0.125, diversity=0.75, evaluations=4 * (number + 1),
        proposals=7 * (number + 1), rejections={"too deep": 1, "failed: a": 1, "failed: b": 1},
        seconds=seconds,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path):
    with RunStore.create(tmp_path / "run", META, {}) as store:
        yield store


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(folder), "--once"]) == 0
    return capsys.readouterr().out


class TestWhatIsShown:
    def test_before_its_store_a_run_collects_statistics(self, tmp_path, capsys) -> None:
        assert "collects its statistics" in shown(tmp_path, capsys)

    def test_before_its_first_generation(self, store, capsys) -> None:
        text = " ".join(shown(store.folder, capsys).split())
        assert "digits + mine, bit_aware, diversity, seed 3" in text
        assert "none is complete yet; of 4" in text

    def test_of_generations(self, store, capsys) -> None:
        for number in range(3):
            store.commit_generation(*generation(number))
        text = " ".join(shown(store.folder, capsys).split())
        for words in (
            "generation 2 of 4; 2 s each", "evaluations 12 of 21 proposals; 2 a second",
            "tau 0.500 training, 0.125 validation; size 2 square(weight_2_2)",
            "4 formulas, median tau 0.500, diversity 0.75", "rejected 9: failed 6, too deep 3",
            "time left about 4 s of the search", "written 0",
        ):  # fmt: skip
            assert words in text

    def test_of_the_random_search_that_follows(self, store, capsys) -> None:
        for number in range(5):
            store.commit_generation(*generation(number))
        with RunStore.create(store.folder / RANDOM_SEARCH, META, {}) as random_store:
            random_store.commit_generation(*generation(0, seconds=1.0))
        text = " ".join(shown(store.folder, capsys).split())
        assert "random search 4 of 20 evaluations; 4 a second" in text
        assert "time left about 4 s of the random search" in text

    def test_of_a_completed_run_alone_what_was_measured(self, store, capsys) -> None:
        for number in range(2):
            store.commit_generation(*generation(number))
        store.set_meta("summary", SUMMARY)
        text = " ".join(shown(store.folder, capsys).split())
        assert "0.500 training, 0.250 validation, 0.750 [0.700, 0.800] test" in text
        assert "time left" not in text
        assert "sum of bits" not in text

    def test_a_run_that_was_taken_up_again_is_not_complete(self, store, capsys) -> None:
        for number in range(3):
            store.commit_generation(*generation(number))
        store.set_meta("summary", SUMMARY)
        assert "time left" in shown(store.folder, capsys)

    def test_a_run_that_writes_no_more_may_have_been_stopped(self, store, capsys) -> None:
        store.commit_generation(*generation(0))
        assert "--resume" not in shown(store.folder, capsys)
        an_hour_ago = time.time() - 3600
        os.utime(store.folder / "store.sqlite", (an_hour_ago, an_hour_ago))
        assert "60 min ago; a run that was stopped goes on" in shown(store.folder, capsys)

    @pytest.mark.parametrize("width", [30, 80, 200])
    def test_no_line_is_wider_than_the_terminal(self, store, width) -> None:
        rows, row = generation(0)
        rows[2] = replace(rows[2], expression=f"add({'x' * 150}, {', '.join(['bits'] * 99)})")
        store.commit_generation(rows, row)
        with WatchedRun(store.folder) as run:
            lines = snapshot_lines(run.look(), width)
        assert max(map(len, lines)) <= width
        assert any(line.endswith("…") for line in lines)


class TestLookingAgain:
    def test_each_generation_is_new_once(self, store) -> None:
        with WatchedRun(store.folder) as run:
            assert run.look().new == ()
            store.commit_generation(*generation(0))
            store.commit_generation(*generation(1))
            assert [row.generation for row in run.look().new] == [0, 1]
            store.commit_generation(*generation(2))
            assert [row.generation for row in run.look().new] == [2]
            assert run.look().new == ()

    def test_between_two_looks_nothing_is_locked(self, store) -> None:
        with WatchedRun(store.folder) as run:
            run.look()
            other = sqlite3.connect(store.folder / "store.sqlite", timeout=0)
            other.execute("BEGIN EXCLUSIVE")
            other.rollback()
            other.close()

    def test_another_run_in_the_same_folder_is_read_from_its_beginning(self, store) -> None:
        store.commit_generation(*generation(0))
        with WatchedRun(store.folder) as run:
            assert run.look().rejections == {"failed": 2, "too deep": 1}
            (store.folder / "store.sqlite").unlink()
            assert not run.look().has_begun
            with RunStore.create(store.folder, META, {}) as other:
                other.commit_generation(*generation(0))
            again = run.look()
            assert [row.generation for row in again.new] == [0]
            assert again.rejections == {"failed": 2, "too deep": 1}

    def test_a_run_may_end_before_its_first_generation(self, tmp_path) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        with WatchedRun(folder) as run:
            run.look()
            folder.rmdir()
            with pytest.raises(RunError, match="ended before its first generation"):
                run.look()

    def test_the_random_search_lies_where_runs_put_it(self) -> None:
        assert snapshot_module._RANDOM_SEARCH == RANDOM_SEARCH


class TestRefusals:
    def status(self, capsys, *arguments: object) -> str:
        assert exit_status(lambda: main([str(one) for one in arguments])) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        return captured.err

    @pytest.mark.parametrize("once", [(), ("--once",)])
    def test_a_folder_that_is_no_run(self, tmp_path, capsys, once) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        assert "is no run: it has no store.sqlite" in self.status(capsys, tmp_path, *once)
        for missing in (tmp_path / "missing", tmp_path / "notes.txt"):
            assert "there is no such folder" in self.status(capsys, missing, *once)

    def test_a_damaged_store(self, store, capsys) -> None:
        store.commit_generation(*generation(0))
        store.set_meta("summary", {"evaluations": 4, "rows": [3]})
        assert "summary" in self.status(capsys, store.folder)
        path = store.folder / "store.sqlite"
        path.write_bytes(path.read_bytes()[:3000])
        assert "cannot be read or is damaged" in self.status(capsys, store.folder)


def started(module: str, *arguments: object, **settings) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "TERM": "xterm"},
        # Whoever runs the tests in the background may have Ctrl-C ignored.
        preexec_fn=_usual,  # noqa: PLW1509 - it only sets a handler
        **{**pipes, **settings},
    )


def _usual() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def found(folder: Path) -> list[object]:
    """All that a run found, but for seconds and dates."""
    results: list[object] = [(folder / "hall_of_fame.json").read_bytes()]
    for place in (folder, folder / RANDOM_SEARCH):
        with RunStore.open(place, readonly=True) as store:
            results += [replace(row, seconds=0.0) for row in store.individuals()]
            results += [replace(row, seconds=0.0) for row in store.generations()]
    return results


@pytest.mark.slow
def test_a_run_is_followed_to_its_end_and_does_not_notice(tmp_path) -> None:
    assert run_command.main([*SMALL, "--out", str(tmp_path / "alone")]) == 0
    run = Forked(["gp_emq.run", *SMALL, "--out", tmp_path / "run"])
    try:
        while not (tmp_path / "run").exists():
            assert run.poll() is None
            time.sleep(0.01)
        log = started("gp_emq.watch", tmp_path / "run", "--interval", "0.05")
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(controller, (24, 72))
        screen = started(
            "gp_emq.watch", tmp_path / "run", "--interval", "0.05", stdout=terminal, text=False
        )
        os.close(terminal)
        drawn = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # so Linux says that nobody writes any more
                break
            if not part:
                break
            drawn += part
        os.close(controller)
        output, errors = log.communicate(timeout=100)
        assert (log.returncode, errors) == (0, "")
        assert (screen.wait(timeout=100), run.wait(timeout=100)) == (0, 0)
    finally:
        run.kill()
    told = [line.split(";")[0] for line in output.splitlines() if line.startswith("generation")]
    told = [line for line in told if " of " in line and "yet" not in line]
    numbers = [int(line.split()[1]) for line in told]
    assert numbers == list(range(numbers[0], 13))
    assert "recommended" in output
    text = drawn.decode()
    assert "\x1b[J" in text
    last = text.rpartition("\x1b[J")[2]
    assert "recommended" in last
    assert max(len(line) for line in last.splitlines()) <= 72
    assert found(tmp_path / "run") == found(tmp_path / "alone")


def test_ctrl_c_ends_it_with_one_line(tmp_path) -> None:
    with RunStore.create(tmp_path / "run", META, {}) as store:
        store.commit_generation(*generation(0))
    watch = started("gp_emq.watch", tmp_path / "run")
    assert watch.stdout is not None
    assert watch.stdout.readline().startswith("generation 0 of 4; 4 evaluations; ")
    time.sleep(0.5)  # within the pause between two looks
    watch.send_signal(signal.SIGINT)
    assert watch.communicate(timeout=30) == ("", "interrupted\n")
    assert watch.returncode == 130


def test_it_is_a_command_of_the_script() -> None:
    assert COMMANDS["watch"].module == "gp_emq.watch"
