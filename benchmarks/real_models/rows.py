"""Finished cells, one JSON line each, in a file that survives being killed at any moment."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.kept_lines import KeptLines
from gp_emq.errors import RunError
from gp_emq.files import decode_document

FLOAT, UNIFORM, RACED = "float", "one width", "race"


@dataclass(frozen=True)
class Row:
    """A finished cell.

    Attributes:
        model: Its name.
        plan: The proxy that planned, or `FLOAT`, `UNIFORM` or `RACED`.
        average: Bits of a weight; 0 for the float network.
        origin: sha256 of weights, samples and settings.
        size: Bytes of the layers in a packed file; of the float network four for each number.
        metric: Its name.
        higher_is_better: Its direction.
        values: The metric of each sample; a share has zeros and ones.
        widths: By name of the layer.
        planned_by: The proxy that planned, or `UNIFORM`: of `RACED` whichever won.
        contenders: sha256 of names and formulas of all that may race; of `RACED` alone.
        fault: Why there are no values; empty where there are.
    """

    model: str
    plan: str
    average: int
    origin: str
    metric: str
    higher_is_better: bool
    size: int = 0
    values: list[float] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)
    planned_by: str = ""
    contenders: str = ""
    fault: str = ""


class Rows:
    """An append-only file of finished cells; without a path they are in memory alone.

    A line that was cut off by a kill, or damaged since, is measured again.

    Args:
        path: The file, which need not exist.

    Raises:
        RunError: It cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lines = None if path is None else KeptLines(path, "the measured cells")
        self._known: dict[tuple[str, str, int], Row] = {}
        for line in [] if self._lines is None else self._lines.found:
            with suppress(RunError):
                self._take(decode_document(line, Row, RunError, "a measured cell"))

    def of(self, model: str, cells: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Row]:
        """Give the rows of a model that are there, by plan and average."""
        found = {cell: self._known.get((model, *cell)) for cell in cells}
        return {cell: row for cell, row in found.items() if row is not None}

    def put(self, row: Row) -> None:
        """Append a row and see it safely on disk."""
        if self._lines is not None:
            self._lines.add(json.dumps(asdict(row), sort_keys=True))
        self._take(row)

    def _take(self, row: Row) -> None:
        self._known[row.model, row.plan, row.average] = row
