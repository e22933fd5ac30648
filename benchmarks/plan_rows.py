"""Measured plans, one JSON line each, in a file that survives being killed at any moment."""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.kept_lines import KeptLines
from gp_emq.errors import RunError
from gp_emq.files import decode_document
from gp_emq.ptq._accuracy import Right


@dataclass(frozen=True)
class _Row:
    """A line of the file.

    Args:
        key: Everything that decided it.
        images: How many there are.
        accuracy: Share of them that are right.
        right: Which are, packed to bits, in base64.
    """

    key: dict[str, Any]
    images: int
    accuracy: float
    right: str


class Rows:
    """An append-only file of which test images a quantized network labels rightly.

    Rows are found by everything that decided them, so that one file serves several studies and
    a setting that changes is measured anew. What a line said that was cut off by a kill, or damaged
    since, is measured again.

    Args:
        path: The file.

    Raises:
        RunError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._lines = KeptLines(path, "the measured plans")
        self._known: dict[str, Right] = {}
        for line in self._lines.found:
            with suppress(RunError, ValueError):
                self._take(line)

    def get(self, key: Mapping[str, Any]) -> Right | None:
        """Return which images were right, bool (n,), or None if that is not measured yet."""
        return self._known.get(_text(key))

    def put(self, key: Mapping[str, Any], right: Right) -> None:
        """Append a row and see it safely on disk."""
        packed = base64.b64encode(np.packbits(right).tobytes()).decode()
        row = {"key": key, "images": len(right), "accuracy": float(right.mean()), "right": packed}
        self._lines.add(json.dumps(row, sort_keys=True))
        self._known[_text(key)] = right

    def _take(self, line: bytes) -> None:
        row = decode_document(line, _Row, RunError, "a measured plan")
        packed = np.frombuffer(base64.b64decode(row.right, validate=True), dtype=np.uint8)
        right = np.unpackbits(packed).astype(np.bool_)[: row.images]
        if len(right) == row.images and float(right.mean()) == row.accuracy:
            self._known[_text(row.key)] = right


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
