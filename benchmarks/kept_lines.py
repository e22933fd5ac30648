"""A file of finished lines that survives being killed at any moment."""

import os
from pathlib import Path

from gp_emq.errors import RunError
from gp_emq.files import read_bytes


class KeptLines:
    """An append-only file; a line that a kill cut off stands alone.

    Args:
        path: The file, which need not exist.
        what: What its lines are, for messages.

    Raises:
        RunError: It cannot be read or written.
    """

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        content = read_bytes(path, RunError, what) if path.exists() else b""
        self.found = content.splitlines()
        self._begin = "\n" if content and not content.endswith(b"\n") else ""

    def add(self, line: str) -> None:
        """Append a line and see it safely on disk."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{self._begin}{line}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {error.strerror or error}") from error
        self._begin = ""
