"""What a run's store tells of a run under way."""

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from gp_emq.errors import RunError
from gp_emq.files import check_document
from gp_emq.store import (
    STORE_NAME,
    GenerationRow,
    IndividualRow,
    RunStore,
    read_hall_of_fame,
)

_Kind = TypeVar("_Kind")

_RANDOM_SEARCH = "random_search"
_RECENT = 10
"""Generations that speeds are means of."""
_MOMENT = 0.3


@dataclass(frozen=True)
class Given:
    """What a run was started with, as far as it is shown."""

    bench: str
    primitives: str
    selection: str
    seed: int
    more_benches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """A formula on one bench, as far as it is shown; None where something is not defined."""

    name: str
    training: float
    validation: float | None
    test: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Summary:
    """What a completed run measured, as far as it is shown."""

    evaluations: int
    rows: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A run at one moment.

    Attributes:
        folder: Of the run.
        has_begun: Whether there is a store; before that, statistics are collected.
        given: What the run was started with; None before there is a store.
        total: Generations it is to have, None if that is not known yet.
        new: Generations completed since the snapshot before, in order.
        last: The last completed generation, None before the first.
        best: The best of its population by training tau.
        rejections: What the screen rejected since the start of the run, by kind of reason.
        rate: Evaluations a second over the latest generations, None if there were none.
        pace: Seconds a generation, likewise.
        age: Seconds since the run last wrote, 0 before there is a store.
        random_evaluations: Those of the random search that follows the search, while it is
            under way; None otherwise.
        summary: What a completed run measured; None before.
        formula: What a completed run recommends, as mathematics; None before.
    """

    folder: Path
    has_begun: bool = False
    given: Given | None = None
    total: int | None = None
    new: tuple[GenerationRow, ...] = ()
    last: GenerationRow | None = None
    best: IndividualRow | None = None
    rejections: Mapping[str, int] = field(default_factory=dict)
    rate: float | None = None
    pace: float | None = None
    age: float = 0.0
    random_evaluations: int | None = None
    summary: Summary | None = None
    formula: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the run has ended and been summarised."""
        return self.summary is not None

    @property
    def seconds_left(self) -> float | None:
        """What the present phase still takes at the present pace; None if nothing tells."""
        if self.last is None or self.is_complete:
            return None
        if self.random_evaluations is not None:
            left = self.last.evaluations - self.random_evaluations
            return left / self.rate if self.rate else None
        if self.total is None or self.pace is None:
            return None
        return max(0, self.total - self.last.generation) * self.pace


class WatchedRun:
    """A run under way, read without disturbing it.

    Its store is opened once, for reading only, and between two looks nothing of it is locked.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._search = _OpenStore(folder)
        self._random_search = _OpenStore(folder / _RANDOM_SEARCH)
        self._was_there = False
        self._forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._search.close()
        self._random_search.close()

    def look(self) -> Snapshot:
        """Read what the run has come to.

        Raises:
            RunError: The folder holds no run, nor one that is about to begin, or a damaged one.
        """
        store = self._search.current()
        if self._search.was_replaced:
            self._forget()
        if store is None:
            self._check_may_begin()
            return Snapshot(folder=self._folder)
        new = store.generations(after=-1 if self._last is None else self._last.generation)
        self._add(new)
        keys = store.meta_keys()
        total = store.meta_as("generations", int) if "generations" in keys else None
        random_evaluations, random_rate = self._random_phase()
        summary = _summary(store) if "summary" in keys else None
        # One that was resumed to go on has the summary of its first end for a while.
        if summary and self._last and summary.evaluations != self._last.evaluations:
            summary = None
        return Snapshot(
            folder=self._folder,
            has_begun=True,
            given=_fields(store.meta_as("config", dict[str, Any]), Given, "configuration", store),
            total=total,
            new=tuple(new),
            last=self._last,
            best=None if self._last is None else store.best_of(self._last.population),
            rejections=dict(self._rejections.most_common()),
            rate=_rate(self._recent) if random_evaluations is None else random_rate,
            pace=_pace(self._recent),
            age=max(0.0, time.time() - max(self._search.written, self._random_search.written)),
            random_evaluations=None if summary else random_evaluations,
            summary=summary,
            formula=self._recommended() if summary else None,
        )

    def _forget(self) -> None:
        self._last: GenerationRow | None = None
        self._recent: list[GenerationRow] = []
        self._rejections: Counter[str] = Counter()

    def _add(self, rows: Sequence[GenerationRow]) -> None:
        for row in rows:
            for reason, count in row.rejections.items():
                # What follows a colon differs from one formula to the next.
                self._rejections[reason.split(":")[0]] += count
        if rows:
            self._last = rows[-1]
            self._recent = [*self._recent, *rows][-_RECENT - 1 :]

    def _check_may_begin(self) -> None:
        """Refuse a folder that no run has made: one has nothing else in it before its store."""
        if self._was_there and not self._folder.is_dir():
            raise RunError(f"the run {self._folder} ended before its first generation")
        if not self._folder.is_dir():
            raise RunError(f"{self._folder} is no run: there is no such folder")
        names = [path.name for path in self._folder.iterdir()]
        if not all(name.startswith((STORE_NAME, ".writable")) for name in names):
            raise RunError(f"{self._folder} is no run: it has no {STORE_NAME}")
        self._was_there = True

    def _random_phase(self) -> tuple[int | None, float | None]:
        """Give evaluations and rate of the random search if it is what is under way."""
        store = self._random_search.current()
        if store is None or self._random_search.written < self._search.written:
            return None, None
        rows = store.generations()
        return (rows[-1].evaluations if rows else 0), _rate(rows[-_RECENT - 1 :])

    def _recommended(self) -> str | None:
        with contextlib.suppress(RunError):
            return read_hall_of_fame(self._folder / "hall_of_fame.json").best.formula
        return None


class _OpenStore:
    """The store of a run, opened when it is there, and anew when it is another file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / STORE_NAME
        self._file: tuple[int, int] | None = None
        self._store: RunStore | None = None
        self.was_replaced = False
        self.written = 0.0

    def current(self) -> RunStore | None:
        """Give the store as it is now; None if there is none."""
        self.was_replaced = False
        try:
            found = self._path.stat()
        except OSError:
            self.was_replaced = self._store is not None
            self.close()
            return None
        self.written = found.st_mtime
        if self._store is None or self._file != (found.st_dev, found.st_ino):
            self.was_replaced = self._store is not None
            self.close()
            self._file = (found.st_dev, found.st_ino)
            self._store = self._opened()
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _opened(self) -> RunStore:
        try:
            return RunStore.open(self._folder, readonly=True)
        except RunError:
            # What the run replaced while all was being checked looks damaged, but only once.
            time.sleep(_MOMENT)
            return RunStore.open(self._folder, readonly=True)


def _summary(store: RunStore) -> Summary:
    found = store.meta_as("summary", dict[str, Any])
    rows = found.get("rows")
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        found["rows"] = [_shown(row, Measured) for row in rows]
    return _fields(found, Summary, "summary", store)


def _fields(found: Mapping[str, Any], kind: type[_Kind], what: str, store: RunStore) -> _Kind:
    """Make a dataclass of what it has of the values under one key of a store."""
    return check_document(_shown(found, kind), kind, RunError, f"the {what} of {store.folder}")


def _shown(found: Mapping[str, Any], kind: type) -> dict[str, Any]:
    return {item.name: found[item.name] for item in fields(kind) if item.name in found}


def _rate(rows: Sequence[GenerationRow]) -> float | None:
    """Give evaluations a second of all rows but the first, or of that if it is alone."""
    seconds = sum(row.seconds for row in rows[1:] or rows)
    if seconds <= 0:
        return None
    first = rows[0].evaluations if len(rows) > 1 else 0
    return (rows[-1].evaluations - first) / seconds


def _pace(rows: Sequence[GenerationRow]) -> float | None:
    # The first population is proposed and judged otherwise than what follows.
    later = rows[1:] or rows
    return sum(row.seconds for row in later) / len(later) if later else None
