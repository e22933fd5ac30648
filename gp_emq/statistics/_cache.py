"""Statistics on disk: one folder per fingerprint, one array and its record per statistic.

The records, and the index that says what the statistics are of, are entries of a cache
(`gp_emq.files`); an array is memory-mapped, so its checksum is in its record.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

import gp_emq
from gp_emq.errors import RunError, StatisticsError
from gp_emq.files import decode_document, one_line, open_array, open_entry, read_bytes, write_entry
from gp_emq.networks import Layer
from gp_emq.statistics._header import FORMAT_VERSION, Header
from gp_emq.statistics._layout import Shape


class DamagedError(Exception):
    """A stored array is not what its record says; whoever can should compute it again."""


@dataclass(frozen=True)
class Stored:
    """One statistic as stored.

    Attributes:
        values: The array; memory-mapped when it was read from disk.
        seconds: What it took to compute, with what it is computed from.
        shapes: Shapes of the layers' tensors, where the header does not give them.
    """

    values: NDArray[Any]
    seconds: float
    shapes: tuple[Shape, ...] | None = None


def default_cache() -> Path:
    """Return the folder for statistics: `GP_EMQ_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("GP_EMQ_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gp_emq"


@dataclass(frozen=True)
class _Index:
    """The content of the index, beside its format."""

    versions: Mapping[str, str]
    fingerprint: str
    bits: tuple[int, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class _Record:
    """What is written beside an array."""

    shape: tuple[int, ...]
    dtype: str
    sha256: str
    seconds: float
    shapes: tuple[Shape, ...] | None


class StatisticsFolder:
    """The files of one collection of statistics.

    Every file is written under another name and then renamed, so that a reader sees a
    whole file or none; two writers write the same values, whichever comes last.

    Args:
        path: The folder, which is named after the fingerprint of what it holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = path.resolve().name

    def names(self) -> tuple[str, ...]:
        """Names of the stored statistics, sorted."""
        return tuple(sorted(file.stem for file in self.path.glob("*.npy")))

    def write_header(self, header: Header) -> None:
        """Write the index, unless a valid one is there already."""
        # Where there is none yet, or it is damaged, it is written anew.
        with suppress(StatisticsError):
            if self.read_header() == header:
                return
        document = {
            "format": FORMAT_VERSION,
            "versions": {"gp_emq": gp_emq.__version__, "torch": torch.__version__},
            "fingerprint": header.fingerprint,
            "bits": list(header.bits),
            "layers": [asdict(layer) for layer in header.layers],
        }
        self._write_entry("index.json", "index", document)

    def read_header(self) -> Header:
        """Read the index.

        Raises:
            StatisticsError: The folder holds no statistics, or another format of them.
        """
        path = self.path / "index.json"
        if not path.exists():
            raise StatisticsError(f"{self.path} holds no statistics: no index.json")
        content = self._entry(path, "index", StatisticsError)
        index = decode_document(content, _Index, StatisticsError, str(path), form=FORMAT_VERSION)
        return Header(index.layers, index.bits, index.fingerprint)

    def write(self, name: str, stored: Stored) -> None:
        """Write one statistic: the array, then its record."""
        values = np.ascontiguousarray(stored.values)
        record = {
            "shape": list(values.shape),
            "dtype": values.dtype.str,
            "sha256": hashlib.sha256(values.data).hexdigest(),
            "seconds": round(stored.seconds, 6),
            "shapes": stored.shapes,
        }
        self._write(f"{name}.npy", lambda file: np.save(file, values, allow_pickle=False))
        self._write_entry(f"{name}.json", name, record)

    def read(self, name: str) -> Stored | None:
        """Read one statistic.

        Returns:
            The statistic, memory-mapped, or None if it is not there.

        Raises:
            DamagedError: It is there, but not whole.
        """
        record_path, values_path = self.path / f"{name}.json", self.path / f"{name}.npy"
        if not (record_path.exists() and values_path.exists()):
            return None
        content = self._entry(record_path, name, DamagedError)
        try:
            record = decode_document(content, _Record, StatisticsError, str(record_path))
            values = open_array(values_path, record.shape, record.dtype)
            whole = hashlib.sha256(values.data).hexdigest() == record.sha256
        except (OSError, ValueError, StatisticsError) as error:
            raise DamagedError(f"{values_path} is damaged: {one_line(error)}") from None
        if not whole:
            raise DamagedError(f"{values_path} is damaged: its content is not what was written")
        return Stored(values, record.seconds, record.shapes)

    def _entry(self, path: Path, name: str, kind: type[Exception]) -> bytes:
        """Read what is written beside an array, or the index."""
        try:
            whole = read_bytes(path, StatisticsError, "the statistics")
        except StatisticsError as error:
            raise kind(str(error)) from None
        found = open_entry(whole, f"{self._name}/{name}")
        if found is None:
            damaged = path if name == "index" else path.with_suffix(".npy")
            raise kind(f"{damaged} is damaged: it is not what was written here")
        return found

    def _write_entry(self, name: str, key: str, document: object) -> None:
        """Write what is beside an array, or the index."""
        content = json.dumps(document, indent=1).encode()
        try:
            write_entry(self.path / name, f"{self._name}/{key}", content)
        except (OSError, RunError) as error:
            raise self._unwritten(error) from None

    def _write(self, name: str, save: Callable[[BinaryIO], None]) -> None:
        """Write a file under a name of its own and rename it."""
        draft = self.path / f".{name}.{uuid.uuid4().hex}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("wb") as file:
                    save(file)
                draft.replace(self.path / name)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritten(error) from None

    def _unwritten(self, error: Exception) -> StatisticsError:
        return StatisticsError(
            f"cannot write statistics to {self.path}: {one_line(error)}; GP_EMQ_CACHE chooses "
            "another folder"
        )
