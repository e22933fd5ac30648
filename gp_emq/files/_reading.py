"""The bytes, the text and the rows of a file that someone else wrote."""

import csv
import stat
from pathlib import Path

from gp_emq.errors import GpEmqError
from gp_emq.files._messages import one_line

MOST_TEXT = 16 * 2**20
"""Bytes of the largest text that is read: a plan of ten thousand layers takes a third of it."""


def read_bytes(path: Path, error: type[GpEmqError], what: str, *, most: int | None = None) -> bytes:
    """Read a whole file.

    Args:
        path: the file.
        error: what is raised.
        what: it is, as in "cannot read the plan FILE".
        most: bytes; None for no bound.

    Raises:
        GpEmqError: of the kind given: the file is missing, cannot be read, is no regular file or
            too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise error(f"cannot read {what} {path}: it is no regular file")
        if most is not None and status.st_size > most:
            raise error(f"cannot read {what} {path}: it is larger than {most / 2**20:g} MiB")
        return path.read_bytes()
    except (OSError, ValueError) as reason:  # ValueError: a name with a NUL in it
        raise error(f"cannot read {what} {path}: {one_line(reason)}") from reason


def read_text(path: Path, error: type[GpEmqError], what: str) -> str:
    """Read a UTF-8 text; the arguments and complaints are those of `read_bytes`."""
    try:
        return read_bytes(path, error, what, most=MOST_TEXT).decode("utf-8")
    except UnicodeDecodeError as reason:
        raise error(f"cannot read {what} {path}: it is no UTF-8 text") from reason


def read_rows(path: Path, error: type[GpEmqError], what: str) -> list[list[str]]:
    """Read the rows of a CSV file, empty ones too; the rest is as for `read_bytes`."""
    text = read_text(path, error, what)
    try:
        return list(csv.reader(text.splitlines(keepends=True)))
    except csv.Error as reason:
        raise error(f"cannot read {what} {path}: {one_line(reason)}") from reason
