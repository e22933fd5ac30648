"""The tables of a run's store, and how rows become records and back."""

import json
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gp_emq.files import shortened
from gp_emq.store._rows import BenchRow, GenerationRow, IndividualRow

FORMAT = 2

CHECKSUMS = """
CREATE TABLE IF NOT EXISTS checksums (
    part TEXT PRIMARY KEY,              -- "arrays", "meta KEY" or "generation NUMBER"
    sha256 TEXT NOT NULL                -- of its records
);
"""

MEASUREMENTS = """
CREATE TABLE measurements (             -- in order of the run's benches
    individual INTEGER NOT NULL,
    bench TEXT NOT NULL,
    training_tau REAL,
    validation_tau REAL,
    table_columns INTEGER,              -- bit choices of the table
    table_data BLOB,                    -- float64 little-endian, (entries, bit choices)
    PRIMARY KEY (individual, bench)
);
"""

TABLES = f"""{CHECKSUMS}
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL                 -- JSON
);
CREATE TABLE arrays (
    name TEXT PRIMARY KEY,
    dtype TEXT NOT NULL,                -- as numpy writes it, little-endian
    shape TEXT NOT NULL,                -- JSON list
    data BLOB NOT NULL                  -- in C order
);
CREATE TABLE individuals (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    place INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    operator TEXT NOT NULL,
    parents TEXT NOT NULL,              -- JSON list of ids
    expression TEXT NOT NULL,
    canonical TEXT NOT NULL,
    size INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    training_tau REAL,
    validation_tau REAL,
    sign INTEGER,
    reason TEXT,                        -- NULL: accepted
    seconds REAL NOT NULL
);
{MEASUREMENTS}
CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    population TEXT NOT NULL,           -- JSON list of ids
    best_training REAL,
    median_training REAL,
    best_validation REAL,
    diversity REAL,
    evaluations INTEGER NOT NULL,       -- cumulative
    proposals INTEGER NOT NULL,         -- cumulative
    rejections TEXT NOT NULL,           -- JSON object, reason to count in this generation
    seconds REAL NOT NULL
);
"""

_STORED_KINDS = "biufU"
_STORED_TYPE = re.compile(f"[<|][{_STORED_KINDS}][1-9][0-9]{{0,5}}")

INSERT_CHECKSUM = "INSERT OR REPLACE INTO checksums VALUES (?, ?)"
INSERT_INDIVIDUAL = "INSERT INTO individuals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_MEASUREMENT = "INSERT INTO measurements VALUES (?, ?, ?, ?, ?, ?)"
INSERT_GENERATION = "INSERT INTO generations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _as_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def individual_record(row: IndividualRow) -> tuple[Any, ...]:
    """The values of an individual in the order of its table's columns."""
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    del values["benches"]
    return tuple({**values, "parents": _as_json(list(row.parents))}.values())


def measurement_records(row: IndividualRow) -> list[tuple[Any, ...]]:
    """The values of an individual on each bench in the order of their table's columns."""
    records = []
    for bench in row.benches:
        columns, data = None, None
        if bench.table is not None:
            little = np.ascontiguousarray(bench.table, dtype="<f8")
            if little.ndim != 2:
                raise ValueError(f"a scores table has shape (entries, bits), not {little.shape}")
            columns, data = little.shape[1], little.tobytes()
        taus = bench.training_tau, bench.validation_tau
        records.append((row.id, bench.bench, *taus, columns, data))
    return records


def bench_row(record: sqlite3.Row) -> BenchRow:
    """What a record of the measurements holds, but for the individual."""
    values = dict(record)
    columns, data = values.pop("table_columns"), values.pop("table_data")
    del values["individual"]
    _check(values, _MEASUREMENT)
    table = None if data is None else np.frombuffer(data, dtype="<f8").reshape(-1, columns)
    return BenchRow(**values, table=table)


def individual_row(record: sqlite3.Row, benches: Sequence[BenchRow]) -> IndividualRow:
    """The individual that a record of its table holds, with its measurements."""
    values = dict(record)
    values["parents"] = _ids(values["parents"])
    _check(values, _INDIVIDUAL)
    if values["sign"] not in {None, -1, 1}:
        raise ValueError(f"individual {values['id']} has the sign {values['sign']}")
    return IndividualRow(**values, benches=tuple(benches))


def generation_record(row: GenerationRow) -> tuple[Any, ...]:
    """The values of a generation in the order of its table's columns."""
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    values["population"] = _as_json(list(row.population))
    values["rejections"] = _as_json(dict(sorted(row.rejections.items())))
    return tuple(values.values())


def generation_row(record: sqlite3.Row) -> GenerationRow:
    """The generation that a record of its table holds."""
    values = dict(record)
    values["population"] = _ids(values["population"])
    values["rejections"] = msgspec.json.decode(values["rejections"], type=dict[str, int])
    for name in ("best_training", "median_training", "best_validation", "diversity"):
        # SQLite has no NaN: it stores NULL for one.
        values[name] = math.nan if values[name] is None else values[name]
    _check(values, _GENERATION)
    return GenerationRow(**values)


_COUNT, _NUMBER, _TEXT = (int,), (int, float), (str,)
_INDIVIDUAL: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("id", "generation", "place", "attempt", "size", "depth"), _COUNT),
    **dict.fromkeys(("operator", "expression", "canonical"), _TEXT),
    **dict.fromkeys(("training_tau", "validation_tau"), (*_NUMBER, type(None))),
    "sign": (int, type(None)),
    "reason": (str, type(None)),
    "seconds": _NUMBER,
}
_MEASUREMENT: Mapping[str, tuple[type, ...]] = {
    "bench": _TEXT,
    **dict.fromkeys(("training_tau", "validation_tau"), (*_NUMBER, type(None))),
}
_GENERATION: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("generation", "evaluations", "proposals"), _COUNT),
    **dict.fromkeys(("best_training", "median_training", "best_validation"), _NUMBER),
    **dict.fromkeys(("diversity", "seconds"), _NUMBER),
}
"""Types of the columns: SQLite itself takes any value anywhere."""


def _check(values: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    for name, allowed in kinds.items():
        value = values[name]
        negative = allowed is _COUNT and isinstance(value, int) and value < 0
        if not isinstance(value, allowed) or negative:
            raise ValueError(f"{name} is {shortened(value, 40)}")


def _ids(text: str) -> tuple[int, ...]:
    found: tuple[int, ...] = msgspec.json.decode(text, type=tuple[int, ...])
    if not all(0 <= number < 2**63 for number in found):
        raise ValueError(f"{shortened(text, 40)} are no ids")
    return found


def array_record(name: str, array: NDArray[Any]) -> tuple[Any, ...]:
    """The values of an array in the order of its table's columns."""
    if array.dtype.kind not in _STORED_KINDS:
        raise ValueError(f"array {name} holds {array.dtype}; numbers and text can be stored")
    little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    return name, little.dtype.str, _as_json(list(little.shape)), little.tobytes()


def array_value(record: sqlite3.Row) -> NDArray[Any]:
    """The array that a record of its table holds; it cannot be written to."""
    if not _STORED_TYPE.fullmatch(record["dtype"]):
        raise ValueError(f"an array holds {shortened(record['dtype'], 40)}")
    dtype = np.dtype(record["dtype"])
    shape = msgspec.json.decode(record["shape"], type=tuple[int, ...])
    return np.frombuffer(record["data"], dtype=dtype).reshape(shape)
