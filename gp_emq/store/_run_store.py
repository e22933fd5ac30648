"""The SQLite file that holds everything a run found."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import RunError
from gp_emq.files import check_document, one_line
from gp_emq.store import _schema as schema
from gp_emq.store._checksums import seal
from gp_emq.store._database import create_database, one_clear_line, open_database, transaction
from gp_emq.store._rows import BenchRow, GenerationRow, IndividualRow

_Kind = TypeVar("_Kind")


class RunStore:
    """Everything that a run proposed and measured, one transaction per generation.

    A kill at any moment, within a commit too, leaves the last completed generation.
    The file can be read (and plotted) while the run goes on.

    Use `RunStore.create` or `RunStore.open`; the object closes itself as a context manager.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection

    @classmethod
    def create(
        cls, folder: Path, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Self:
        """Start the store of a new run.

        Args:
            folder: the run's folder, made if it is missing.
            meta: values that JSON can hold, e.g. `config`, `bench`, `versions`; `format` and
                `created` (date and time) are added.
            arrays: what the plots need of the bench, by name.

        Raises:
            RunError: the folder holds a run already, or cannot be written.
        """
        create_database(folder, meta, arrays)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path, *, readonly: bool = False) -> Self:
        """Open the store of a run.

        Args:
            folder: the run's folder.
            readonly: refuse to change anything.

        Raises:
            RunError: the folder holds no run, or one that is damaged or of another format.
        """
        return cls(folder, open_database(folder, readonly=readonly))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; the store cannot be used any more."""
        self._connection.close()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._folder

    def commit_generation(
        self, individuals: Sequence[IndividualRow], generation: GenerationRow
    ) -> None:
        """Add a completed generation and every individual proposed in it: all or nothing.

        Args:
            individuals: everyone proposed in this generation, rejected ones too.
            generation: the generation, which must follow the last one stored.

        Raises:
            RunError: the generation does not follow the last one (another process may be
                writing to this run), or the disk does not take it.
            ValueError: a scores table that is no matrix.
        """
        records = [schema.individual_record(row) for row in individuals]
        measurements = [item for row in individuals for item in schema.measurement_records(row)]
        try:
            with transaction(self._connection):
                last = self._connection.execute("SELECT max(generation) FROM generations")
                expected = 0 if (newest := last.fetchone()[0]) is None else newest + 1
                if generation.generation != expected:
                    raise RunError(
                        f"generation {generation.generation} does not follow: the run "
                        f"{self._folder} goes on with {expected}; is another process writing to it?"
                    )
                self._connection.executemany(schema.INSERT_INDIVIDUAL, records)
                self._connection.executemany(schema.INSERT_MEASUREMENT, measurements)
                record = schema.generation_record(generation)
                self._connection.execute(schema.INSERT_GENERATION, record)
                seal(self._connection, f"generation {generation.generation}")
        except sqlite3.Error as error:
            raise RunError(f"cannot write to the run {self._folder}: {one_line(error)}") from error

    def individuals(self, *, accepted_only: bool = False) -> list[IndividualRow]:
        """Everyone proposed, in order; only those that the screen accepted if asked."""
        query = "SELECT * FROM individuals WHERE reason IS NULL OR NOT ? ORDER BY id"
        return self._individuals(query, (accepted_only,))

    def individual(self, id_: int) -> IndividualRow:
        """One individual.

        Raises:
            RunError: there is none with this id.
        """
        found = self._individuals("SELECT * FROM individuals WHERE id = ?", (id_,))
        if not found:
            raise RunError(f"the run {self._folder} has no individual {id_}")
        return found[0]

    def ancestry(self, id_: int) -> list[IndividualRow]:
        """An individual and everyone it descends from, in order of their ids.

        Raises:
            RunError: there is none with this id.
        """
        self.individual(id_)
        query = """
            WITH RECURSIVE line(id) AS (
                SELECT ?
                UNION
                SELECT parent.value
                FROM line
                JOIN individuals AS child ON child.id = line.id
                JOIN json_each(child.parents) AS parent
            )
            SELECT individuals.* FROM individuals JOIN line USING (id) ORDER BY id
        """
        return self._individuals(query, (id_,))

    def _individuals(self, query: str, values: tuple[object, ...]) -> list[IndividualRow]:
        measurements = (
            f"WITH asked AS ({query}) SELECT measurements.* FROM measurements "  # noqa: S608 - ours
            "JOIN asked ON individual = asked.id ORDER BY measurements.rowid"
        )
        with one_clear_line(self._folder):
            benches: dict[int, list[BenchRow]] = {}
            with self._reading(measurements, values) as found:
                for row in found:
                    benches.setdefault(row["individual"], []).append(schema.bench_row(row))
            with self._reading(query, values) as found:
                return [schema.individual_row(row, benches.get(row["id"], ())) for row in found]

    def _reading(self, query: str, values: Sequence[object] = ()) -> closing[sqlite3.Cursor]:
        """Read rows, and let go of the file where one of them does not read.

        What was read in part would hold a lock on it as long as the error is known to anybody.
        """
        return closing(self._connection.execute(query, values))

    def best_of(self, ids: Sequence[int]) -> IndividualRow | None:
        """Of some individuals, the one of the highest training tau; of equals the smallest.

        Args:
            ids: of the individuals, such as a population's.

        Returns:
            The individual; None if none of them has a fitness.
        """
        query = """
            SELECT * FROM individuals
            WHERE id IN (SELECT value FROM json_each(?)) AND training_tau IS NOT NULL
            ORDER BY training_tau DESC, size, id LIMIT 1
        """
        found = self._individuals(query, (json.dumps(list(ids)),))
        return found[0] if found else None

    def generations(self, *, after: int = -1) -> list[GenerationRow]:
        """The completed generations, in order; only those after one of them if asked."""
        with one_clear_line(self._folder):
            query = "SELECT * FROM generations WHERE generation > ? ORDER BY generation"
            with self._reading(query, (after,)) as rows:
                return [schema.generation_row(row) for row in rows]

    def last_generation(self) -> GenerationRow | None:
        """The last completed generation, None before the first."""
        with one_clear_line(self._folder):
            query = "SELECT * FROM generations ORDER BY generation DESC LIMIT 1"
            row = self._connection.execute(query).fetchone()
            return None if row is None else schema.generation_row(row)

    def array(self, name: str) -> NDArray[Any]:
        """An array that the run was created with; it cannot be written to.

        Raises:
            RunError: there is none of this name.
        """
        with one_clear_line(self._folder):
            row = self._connection.execute(
                "SELECT * FROM arrays WHERE name = ?", (name,)
            ).fetchone()
            if row is None:
                names = _listed(self.array_names())
                raise RunError(f"the run {self._folder} has no array {name!r}; it has {names}")
            return np.asarray(schema.array_value(row))

    def array_names(self) -> list[str]:
        """The names of the arrays, sorted."""
        query = "SELECT name FROM arrays ORDER BY name"
        with one_clear_line(self._folder), self._reading(query) as rows:
            return [row["name"] for row in rows]

    def meta(self, key: str) -> Any:
        """A value that the run was created with, or that `set_meta` left.

        Raises:
            RunError: there is none under this key.
        """
        with one_clear_line(self._folder):
            row = self._connection.execute(
                "SELECT value FROM meta WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                keys = _listed(self.meta_keys())
                raise RunError(f"the run {self._folder} has no {key!r}; it has {keys}")
            return json.loads(row["value"])

    def meta_as(self, key: str, kind: type[_Kind]) -> _Kind:
        """A value as `meta` gives it, checked.

        Args:
            key: Of the value.
            kind: What it must be, such as `dict[str, Any]` or a dataclass.

        Raises:
            RunError: there is none under this key, or it is of another kind.
        """
        return check_document(self.meta(key), kind, RunError, f"{key} of the run {self._folder}")

    def meta_keys(self) -> list[str]:
        """The keys that `meta` knows, sorted."""
        query = "SELECT key FROM meta ORDER BY key"
        with one_clear_line(self._folder), self._reading(query) as rows:
            return [row["key"] for row in rows]

    def set_meta(self, key: str, value: object) -> None:
        """Store a value that JSON can hold, in place of an earlier one.

        Raises:
            RunError: the store is open for reading only, or the disk does not take it.
            ValueError: the key is `format`, or the value is none that JSON can hold.
        """
        if key == "format":
            raise ValueError("the format of a store is not for change")
        text = json.dumps(value, sort_keys=True)
        try:
            with transaction(self._connection):
                self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text))
                seal(self._connection, f"meta {key}")
        except sqlite3.Error as error:
            raise RunError(f"cannot write to the run {self._folder}: {one_line(error)}") from error


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(str(name)[:40] for name in names[:20]) or "none"
    return f"{text}, ..." if len(names) > 20 else text
