"""The file of a run's store: made whole or not at all, and checked before anything is read."""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gp_emq.errors import RunError
from gp_emq.files import one_line, shortened
from gp_emq.store import _schema as schema
from gp_emq.store._checksums import damaged_part, seal_new
from gp_emq.store._upgrade import upgrade

STORE_NAME = "store.sqlite"
_TABLE_NAMES = {"meta", "arrays", "individuals", "generations"}
_BUSY_SECONDS = 30.0
SYNCHRONOUS = "FULL"
"""What is committed is on the disk, whatever becomes of the machine."""
_UNREADABLE = (RecursionError, OverflowError, MemoryError)
"""What a damaged value may raise beside complaints about it."""


def create_database(
    folder: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> None:
    """Make the file of a new run; arguments and complaints are those of `RunStore.create`."""
    path = folder / STORE_NAME
    if path.exists():
        raise RunError(f"{folder} holds a run already; resume it, or choose another folder")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    values = {"created": created, **meta, "format": schema.FORMAT}
    # Under another name until it is complete, so that a kill leaves no half store.
    partial = folder / f"{STORE_NAME}.{os.getpid()}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        connection = sqlite3.connect(partial)
        try:
            connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
            # One transaction in all: each waits for the disk several times.
            connection.executescript(f"BEGIN;\n{schema.TABLES}")
            with connection:
                connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    [(key, json.dumps(value, sort_keys=True)) for key, value in values.items()],
                )
                connection.executemany(
                    "INSERT INTO arrays VALUES (?, ?, ?, ?)",
                    [schema.array_record(name, array) for name, array in arrays.items()],
                )
                seal_new(connection, values)
        finally:
            connection.close()
        partial.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise RunError(f"cannot write to {folder}: {one_line(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def open_database(folder: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open and check the file of a run; the rest is as for `RunStore.open`."""
    path = folder / STORE_NAME
    if not path.is_file():
        raise RunError(f"{folder} is no run: it has no {STORE_NAME}")
    try:
        # Not mode=ro: after a kill, the first reader has to roll the journal back.
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
        )
    except sqlite3.Error as error:
        raise RunError(f"cannot open the run {folder}: {one_line(error)}") from error
    try:
        return _checked(folder, connection, readonly=readonly)
    except BaseException:
        connection.close()
        raise


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep all that the block writes, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def one_clear_line(folder: Path) -> Iterator[None]:
    """Say of whatever goes wrong within the block that the run cannot be read."""
    try:
        yield
    except (sqlite3.Error, ValueError, TypeError, LookupError, *_UNREADABLE) as error:
        what = f"{STORE_NAME}: {one_line(error)}"
        raise RunError(f"the run {folder} cannot be read or is damaged, {what}") from error


def _checked(folder: Path, connection: sqlite3.Connection, *, readonly: bool) -> sqlite3.Connection:
    with one_clear_line(folder):
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        with contextlib.closing(
            connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ) as found:
            names = {row["name"] for row in found}
        if not names >= _TABLE_NAMES:
            raise RunError(f"{folder} is no run: {STORE_NAME} lacks the tables of one")
        version = _format_of(folder, connection)
        if version not in {schema.FORMAT, schema.FORMAT - 1}:
            raise RunError(
                f"the run {folder} has format {shortened(version, 40)}; "
                f"this version reads formats {schema.FORMAT - 1} and {schema.FORMAT}"
            )
        health = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if health != "ok":
            raise RunError(f"the run {folder} is damaged: {shortened(health)}")
        damaged = damaged_part(connection)
        if damaged is not None:
            raise RunError(f"the run {folder} is damaged: its {damaged} is not what was written")
        if version != schema.FORMAT:
            if readonly:
                connection = _copy(connection)
            with transaction(connection):
                upgrade(connection)
        if readonly:
            connection.execute("PRAGMA query_only = ON")
    return connection


def _format_of(folder: Path, connection: sqlite3.Connection) -> object:
    row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if row is None:
        raise RunError(f"the run {folder} has no 'format'")
    return json.loads(row["value"])


def _copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Copy a store into memory, and let go of its file."""
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.row_factory = sqlite3.Row
    connection.backup(copy)
    connection.close()
    return copy
