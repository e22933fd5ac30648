"""Measured plans, one JSON line each, in a file that survives being killed at any moment."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gp_emq.errors import RunError
from gp_emq.ptq import Right


class Rows:
    """An append-only file of which test images a quantized network labels rightly.

    Rows are found by everything that decided them, so that one file serves several studies and
    a setting that changes is measured anew. A line that was cut off by a kill is measured again.

    Args:
        path: The file.

    Raises:
        RunError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Right] = {}
        try:
            content = path.read_text(encoding="utf-8") if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"cannot read {path}: {error}") from error
        for line in content.splitlines():
            self._take(line)
        if content and not content.endswith("\n"):
            self._append("\n")

    def get(self, key: Mapping[str, Any]) -> Right | None:
        """Return which images were right, bool (n,), or None if that is not measured yet."""
        return self._known.get(_text(key))

    def put(self, key: Mapping[str, Any], right: Right) -> None:
        """Append a row and see it safely on disk."""
        packed = base64.b64encode(np.packbits(right).tobytes()).decode()
        row = {"key": key, "images": len(right), "accuracy": float(right.mean()), "right": packed}
        self._append(json.dumps(row, sort_keys=True) + "\n")
        self._known[_text(key)] = right

    def _take(self, line: str) -> None:
        try:
            row = json.loads(line)
            packed = np.frombuffer(base64.b64decode(row["right"]), dtype=np.uint8)
            right = np.unpackbits(packed, count=int(row["images"])).astype(np.bool_)
            self._known[_text(row["key"])] = right
        except (ValueError, KeyError, TypeError):
            return  # cut off by a kill

    def _append(self, text: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {error.strerror or error}") from error


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
