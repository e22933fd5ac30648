"""Trying inputs one after the other, each within bounds of time and memory."""

import hashlib
import json
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from gp_emq.errors import GpEmqError

from ._mutations import of_bytes
from ._target import Target

MOST_SECONDS = 5.0
MOST_MEBIBYTES = 500.0
LONGEST_MESSAGE = 1000


class TooSlowError(BaseException):
    """An input took too long; nothing that catches errors of reading catches it."""


@dataclass
class Figures:
    """What was tried of a target.

    Attributes:
        inputs: How many.
        accepted: Those that read.
        refused: Those that a typed error of one line refused.
        seconds: All together.
        slowest: Seconds of the slowest input.
        memory: MiB by which the peak of the process grew.
        failures: What did anything else, each with its input's name.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    memory: float = 0.0
    failures: list[str] = field(default_factory=list)

    def as_plain(self) -> dict[str, object]:
        return asdict(self)


class Fuzzer:
    """Tries mutated files of one kind.

    Args:
        target: The kind.
        folder: Where valid and mutated files lie.
        kept: Where inputs that fail are kept; None for nowhere.
    """

    def __init__(self, target: Target, folder: Path, kept: Path | None = None) -> None:
        self._target, self._kept = target, kept
        self._path = folder / target.name / target.file
        self._path.parent.mkdir(parents=True, exist_ok=True)
        target.make(self._path)
        self._valid = self._path.read_bytes()
        self.read_valid()
        self._peak = _peak()

    def read_valid(self) -> None:
        """Read the valid file, which must not be refused."""
        self._path.write_bytes(self._valid)
        self._target.read(self._path)

    def input(self, number: int) -> bytes:
        """Give the mutated file of a number, always the same."""
        random = Random(f"{self._target.name}/{number}")
        content = self._valid
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            try:
                content = self._target.change(content, random)
            # What an earlier change left may be nothing that a later one knows.
            except Exception:  # noqa: BLE001
                content = of_bytes(content, random)
        return content

    def try_one(self, number: int, figures: Figures) -> None:
        """Read the mutated file of a number, and count what came of it."""
        content = self.input(number)
        self._path.write_bytes(content)
        start = time.perf_counter()
        failure = None
        try:
            with _at_most(MOST_SECONDS):
                self._target.read(self._path)
            figures.accepted += 1
        except GpEmqError as error:
            figures.refused += 1
            message = str(error).replace(str(self._path), "")
            if "\n" in message or len(message) > LONGEST_MESSAGE:
                failure = f"its message is {message[:LONGEST_MESSAGE]!r}"
        except TooSlowError:
            failure = f"it took more than {MOST_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - it is what the fuzzer looks for
            place = traceback.extract_tb(error.__traceback__)[-1]
            failure = (
                f"{type(error).__name__}: {str(error)[:200]} ({place.filename}:{place.lineno})"
            )
        seconds, memory = time.perf_counter() - start, _peak() - self._peak
        if memory > MOST_MEBIBYTES:
            failure = failure or f"it took {memory:.0f} MiB"
        figures.inputs += 1
        figures.seconds += seconds
        figures.slowest = max(figures.slowest, seconds)
        figures.memory = max(figures.memory, memory)
        if failure is not None:
            figures.failures.append(f"{self._target.name}, input {number}: {failure}")
            self._keep(content)

    def _keep(self, content: bytes) -> None:
        if self._kept is not None:
            self._kept.mkdir(parents=True, exist_ok=True)
            name = f"{self._target.name}-{hashlib.sha256(content).hexdigest()[:12]}"
            (self._kept / name).write_bytes(content)


def fuzz(fuzzer: Fuzzer, figures: Figures, inputs: int, until: float | None = None) -> None:
    """Go on from where figures stand to a number of inputs, or to a time.

    Args:
        fuzzer: Of a target.
        figures: What was tried so far; they are added to.
        inputs: How many there are to be in all.
        until: `time.monotonic()` at which to stop; None for never.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while figures.inputs < inputs and (until is None or time.monotonic() < until):
            fuzzer.try_one(figures.inputs, figures)


def load_figures(path: Path) -> dict[str, Figures]:
    """Read the figures of a run that was stopped; none if there are none."""
    if not path.exists():
        return {}
    return {name: Figures(**values) for name, values in json.loads(path.read_text()).items()}


def save_figures(path: Path, figures: dict[str, Figures]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({name: each.as_plain() for name, each in figures.items()}, indent=1))
    part.replace(path)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _peak() -> float:
    """Give the peak of the process's memory in MiB, which only grows."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
