"""Rows of the comparison of measured plans, one JSON line each, kept as they are finished."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.kept_lines import KeptLines
from gp_emq.errors import RunError
from gp_emq.files import decode_document

UNIFORM, START, MEASURED, CALIBRATED, PAIRS = "uniform", "start", "measured", "calibrated", "pairs"


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Way:
    """What a way to plan has on the test images, and how it differs from the start."""

    accuracy: Interval
    change: Interval
    loss: Interval
    loss_change: Interval


@dataclass(frozen=True)
class Together:
    """What pairs of entries brought: plans measured, taus with and without, used, and kept."""

    measured: int
    tau: Interval
    single_tau: Interval
    used: bool
    kept: bool


@dataclass(frozen=True)
class Row:
    """One network at one size.

    Attributes:
        network: Its name.
        part: What it is for, as in the zoo's split.
        method: Recipe.
        share: The size.
        images: Test images.
        floating: The float network's accuracy.
        ways: By name of the way to plan.
        kept: Whether the measured plan was confirmed.
        calibrated_kept: Whether the corrected table's plan was.
        plans: How many plans the search measured.
        tau: Of the corrected table, each plan left out once.
        table_tau: Of the table as it was, on the same plans.
        seconds: Processor seconds of search and calibration.
        together: Of pairs of entries, where they were asked for.
    """

    network: str
    part: str
    method: str
    share: float
    images: int
    floating: Interval
    ways: dict[str, Way]
    kept: bool
    calibrated_kept: bool
    plans: int
    tau: Interval
    table_tau: Interval
    seconds: float
    together: Together | None = None


class Rows:
    """An append-only file of finished rows; a line that was cut off is made again.

    Args:
        path: The file.

    Raises:
        RunError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._lines = KeptLines(path, "the rows")
        self.known: dict[tuple[str, float], Row] = {}
        for line in self._lines.found:
            with suppress(RunError):
                row = decode_document(line, Row, RunError, "a row")
                self.known[row.network, row.share] = row

    def add(self, row: Row) -> None:
        """Append a row and see it safely on disk."""
        self._lines.add(json.dumps(asdict(row), sort_keys=True))
        self.known[row.network, row.share] = row
