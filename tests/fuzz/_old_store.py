"""Rewriting a store as the version before kept it: one table per individual, beside its row."""

import hashlib
import sqlite3
from pathlib import Path

from gp_emq.store import STORE_NAME

QUERIES = {
    "arrays": ["SELECT * FROM arrays ORDER BY name"],
    "meta": ["SELECT * FROM meta WHERE key = ?"],
    "generation": [
        "SELECT * FROM generations WHERE generation = ?",
        "SELECT * FROM individuals WHERE generation = ? ORDER BY id",
    ],
}


def as_format_1(folder: Path) -> None:
    """Rewrite the store of a run on one bench."""
    connection = sqlite3.connect(folder / STORE_NAME)
    with connection:
        for column in ("columns INTEGER", "table BLOB"):
            connection.execute(f"ALTER TABLE individuals ADD COLUMN scores_{column}")
        for name, of in (("columns", "table_columns"), ("table", "table_data")):
            connection.execute(
                f"UPDATE individuals SET scores_{name} = "  # noqa: S608 - both are ours
                f"(SELECT {of} FROM measurements WHERE individual = id)"
            )
        connection.execute("DROP TABLE measurements")
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'format'")
        for (part,) in connection.execute("SELECT part FROM checksums").fetchall():
            kind, _, name = part.partition(" ")
            digest = hashlib.sha256(part.encode())
            for query in QUERIES[kind]:
                for record in connection.execute(query, (name,) if "?" in query else ()):
                    digest.update(repr(tuple(record)).encode())
            change = "UPDATE checksums SET sha256 = ? WHERE part = ?"
            connection.execute(change, (digest.hexdigest(), part))
    connection.close()
