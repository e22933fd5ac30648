"""Checksums of a store's parts: what was changed since it was written is not believed."""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing

from gp_emq.store import _schema as schema

_ARRAYS = "arrays"
_QUERIES = {
    "arrays": ["SELECT * FROM arrays ORDER BY name"],
    "meta": ["SELECT * FROM meta WHERE key = ?"],
    "generation": [
        "SELECT * FROM generations WHERE generation = ?",
        "SELECT * FROM individuals WHERE generation = ? ORDER BY id",
        """SELECT * FROM measurements
        WHERE individual IN (SELECT id FROM individuals WHERE generation = ?) ORDER BY rowid""",
    ],
}
"""What each kind of part consists of."""


def seal_new(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Add the checksums of a new store: of its arrays, and of its values by key."""
    for part in (_ARRAYS, *(f"meta {key}" for key in keys)):
        seal(connection, part)


def seal(connection: sqlite3.Connection, part: str) -> None:
    """Add or replace the checksum of a part, of what the store now holds of it.

    Args:
        connection: of the store, within the transaction that writes the part.
        part: "arrays", "meta KEY" or "generation NUMBER".
    """
    # A store that was begun by an earlier version has no such table.
    connection.execute(schema.CHECKSUMS)
    connection.execute(schema.INSERT_CHECKSUM, (part, _sha256(connection, part)))


def damaged_part(connection: sqlite3.Connection) -> str | None:
    """Name a part that is not what was written; None if all are, or have no checksum."""
    if not _has_table(connection, "checksums"):
        return None
    for part, expected in connection.execute("SELECT part, sha256 FROM checksums").fetchall():
        if _sha256(connection, str(part)) != expected:
            return str(part)[:80]
    return None


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(found, (name,)).fetchone() is not None


def _sha256(connection: sqlite3.Connection, part: str) -> str:
    kind, _, name = part.partition(" ")
    queries = dict(_QUERIES)
    if not _has_table(connection, "measurements"):
        queries["generation"] = queries["generation"][:2]
    digest = hashlib.sha256(part.encode())
    for query in queries.get(kind, []):
        with closing(connection.execute(query, (name,) if "?" in query else ())) as records:
            for record in records:
                digest.update(repr(tuple(record)).encode(errors="backslashreplace"))
    return digest.hexdigest()
