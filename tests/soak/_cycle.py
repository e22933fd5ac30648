"""One cycle: a command that is killed at random moments until it ends, and what it came to."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ._targets import TARGETS, Target, command_line, write_plan

ROOT = Path(__file__).parents[2]
POPEN = subprocess.Popen
"""What starts a command."""
PATIENCE = 1800.0
"""Seconds in which a command that nobody kills has to end."""


@dataclass
class Count:
    """What happened so far.

    Attributes:
        kills: SIGKILLs, of the command or of one of its workers.
        workers: Those of them that a worker got.
        runs: Commands that were killed until they ended.
        identical: Those of them whose results were those of an undisturbed one.
        faults: What went wrong, one line each.
    """

    kills: int = 0
    workers: int = 0
    runs: int = 0
    identical: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Victim:
    """A command to be killed, and what it should come to.

    Attributes:
        name: Of its target.
        backend: What its workers are, if it has any.
        folder: Where it works; made anew for every run.
        right: What it comes to undisturbed, by name.
        seconds: How long it takes undisturbed.
    """

    name: str
    backend: str
    folder: Path
    right: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def target(self) -> Target:
        """What it does."""
        return TARGETS[self.name]

    def undisturbed(self) -> "Victim":
        """Let the command end in peace, and give it with what it came to."""
        start = time.monotonic()
        process = self.start()
        if process.wait(PATIENCE) != 0:
            text = (self.folder / "stderr").read_text()[-500:]
            raise RuntimeError(f"{self.name} fails undisturbed: {text}")
        seconds = time.monotonic() - start
        return replace(self, right=self.target.results(self.folder), seconds=seconds)

    def start(self) -> "subprocess.Popen[bytes]":
        """Make the folder anew, with what the command reads and a cache of its own, and start."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        write_plan(self.folder / "plan.json")
        return self._started(self.target.start(self.folder, self.backend))

    def resume(self) -> "subprocess.Popen[bytes]":
        """Start the command again, as its own message says."""
        again = self.target.resume(self.folder, self.backend)
        return self._started(again or self.target.start(self.folder, self.backend))

    def _started(self, arguments: list[str]) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1",
            "GP_EMQ_CACHE": str(self.folder / "cache"),
        }  # fmt: skip
        line = command_line(arguments)
        # Output of the latest start alone, complaints of all.
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("ab") as err:
            return POPEN(line, env=environment, stdout=out, stderr=err)


def cycle(victim: Victim, rng: random.Random, kills: int, count: Count) -> None:
    """Kill a command so many times, let it end, and compare.

    Args:
        victim: The command.
        rng: Draws the moments, and who is killed.
        kills: How often to kill at most: a command may end before.
        count: What happened is added here.
    """
    process = victim.start()
    for _ in range(kills):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.0, 0.8 * victim.seconds))
        if process.poll() is not None:
            break
        workers = children(process.pid) if victim.target.farmed else []
        if workers and rng.random() < 0.5:
            kill(rng.choice(workers))
            count.workers += 1
        else:
            kill(process.pid)
            process.wait()
        count.kills += 1
        if process.poll() is not None:
            process = victim.resume()
    _end(victim, process, count)


def _end(victim: Victim, process: "subprocess.Popen[bytes]", count: Count) -> None:
    count.runs += 1
    try:
        status = process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = None
    if status != 0:
        what = "did not end" if status is None else f"ended with status {status}"
        tail = (victim.folder / "stderr").read_text(errors="replace")[-400:]
        count.faults.append(f"it {what}: {' '.join(tail.split())}")
        return
    found = victim.target.results(victim.folder)
    differing = [key for key, value in victim.right.items() if found.get(key) != value]
    if differing:
        count.faults.append(f"its results differ in {', '.join(differing)}")
    else:
        count.identical += 1


def kill(process: int) -> None:
    """Send SIGKILL, to a process that may have ended by itself."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def children(process: int) -> list[int]:
    """Give the worker processes that a command has started."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            number = int(entry.name)
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            line = (entry / "cmdline").read_bytes()
            if parent == process and (b"popen_loky" in line or b"_dask_worker" in line):
                found.append(number)
    return sorted(found)
