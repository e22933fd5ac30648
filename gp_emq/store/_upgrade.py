"""Stores of the format before: one table per individual, kept with it."""

import json
import sqlite3

from gp_emq.store import _schema as schema
from gp_emq.store._checksums import seal


def upgrade(connection: sqlite3.Connection) -> None:
    """Give a checked store of format 1 the tables of the present one.

    Args:
        connection: of the store, within a transaction.
    """
    found = connection.execute("SELECT value FROM meta WHERE key = 'bench'").fetchone()
    bench = json.loads(found["value"]) if found else None
    name = bench.get("name") if isinstance(bench, dict) else None
    connection.execute(schema.MEASUREMENTS)
    connection.execute(
        "INSERT INTO measurements SELECT id, ?, training_tau, validation_tau, scores_columns, "
        "scores_table FROM individuals WHERE scores_table IS NOT NULL ORDER BY id",
        (str(name),),
    )
    for column in ("scores_columns", "scores_table"):
        connection.execute(f"ALTER TABLE individuals DROP COLUMN {column}")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(schema.FORMAT),))
    seal(connection, "meta format")
    for (generation,) in connection.execute("SELECT generation FROM generations").fetchall():
        seal(connection, f"generation {generation}")
