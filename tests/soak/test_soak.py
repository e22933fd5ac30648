"""The soak test itself, with a few kills: `python -m tests.soak` sends as many as one likes."""

import random
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from forked import Forked

from . import _cycle
from ._cycle import Count, Victim, cycle
from ._targets import TARGETS

pytestmark = pytest.mark.slow


def fork(line: list[str], env: dict[str, str], stdout: BinaryIO, stderr: BinaryIO) -> Forked:
    """Start ``python -m`` and a command."""
    return Forked(line[2:], env=env, out=stdout.name, err=stderr.name)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that learns nothing, and starts at once."""
    monkeypatch.setattr(_cycle, "POPEN", fork)

    def start(folder: Path, backend: str) -> list[str]:
        line = TARGETS["whole"].start(folder, backend)
        line[line.index("adaround")] = "rtn"
        place = line.index("--iterations")
        return line[:place] + line[place + 2 :]

    monkeypatch.setitem(TARGETS, "whole", TARGETS["bench"])
    monkeypatch.setitem(TARGETS, "bench", replace(TARGETS["bench"], start=start))


def test_a_command_that_was_killed_comes_to_the_same(tmp_path) -> None:
    # The first command of all waits for the process that it is forked from.
    assert Forked(["gp_emq.bench", "--help"]).wait(100.0) == 0
    undisturbed = Victim("bench", "threading", tmp_path / "command").undisturbed()
    count = Count()
    # The moments are so early that it has not ended, even if it was slow before: each is a kill.
    victim = replace(undisturbed, seconds=0.3 * undisturbed.seconds)
    cycle(victim, random.Random(0), 2, count)
    assert count.faults == []
    assert (count.runs, count.identical) == (1, 1)
    assert count.kills == 2


def test_what_differs_is_a_fault(tmp_path) -> None:
    count = Count()
    victim = Victim("bench", "threading", tmp_path / "command", {"bench.safetensors": b""}, 0.0)
    cycle(victim, random.Random(0), 0, count)
    assert count.faults == ["its results differ in bench.safetensors"]
    assert count.identical == 0


def test_a_command_that_fails_is_a_fault(tmp_path, monkeypatch) -> None:
    wrong = replace(TARGETS["bench"], start=lambda *_: ["gp_emq.bench", "no"])
    monkeypatch.setitem(TARGETS, "bench", wrong)
    count = Count()
    cycle(Victim("bench", "loky", tmp_path / "command"), random.Random(0), 0, count)
    (fault,) = count.faults
    assert fault.startswith("it ended with status 2: error: ")
