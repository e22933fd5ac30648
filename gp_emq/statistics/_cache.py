"""Statistics on disk: one folder per fingerprint, one array and its record per statistic."""

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

import gp_emq
from gp_emq.errors import StatisticsError
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


class StatisticsFolder:
    """The files of one collection of statistics.

    Every file is written under another name and then renamed, so that a reader sees a
    whole file or none; two writers write the same values, whichever comes last.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """Names of the stored statistics, sorted."""
        return tuple(sorted(file.stem for file in self.path.glob("*.npy")))

    def write_header(self, header: Header) -> None:
        """Write the index, unless a valid one is there already."""
        try:
            if self.read_header() == header:
                return
        except StatisticsError:
            pass  # there is none yet, or it is damaged: either way it is written anew
        document = {
            "format": FORMAT_VERSION,
            "versions": {"gp_emq": gp_emq.__version__, "torch": torch.__version__},
            "fingerprint": header.fingerprint,
            "bits": list(header.bits),
            "layers": [asdict(layer) for layer in header.layers],
        }
        self._write("index.json", lambda file: _dump(document, file))

    def read_header(self) -> Header:
        """Read the index.

        Raises:
            StatisticsError: The folder holds no statistics, or another format of them.
        """
        path = self.path / "index.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StatisticsError(f"{self.path} holds no statistics: no index.json") from None
        except (OSError, ValueError) as error:
            raise StatisticsError(f"{path} cannot be read: {error}") from None
        try:
            if document["format"] != FORMAT_VERSION:
                raise StatisticsError(
                    f"{path} has format {document['format']}, this version reads {FORMAT_VERSION}"
                )
            layers = tuple(
                Layer(**{**layer, "weight_shape": tuple(layer["weight_shape"])})
                for layer in document["layers"]
            )
            return Header(layers, tuple(document["bits"]), str(document["fingerprint"]))
        except (KeyError, TypeError) as error:
            raise StatisticsError(f"{path} is damaged: {error!r}") from None

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
        self._write(f"{name}.json", lambda file: _dump(record, file))

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
        try:
            record = json.loads(record_path.read_text(encoding="utf-8"))
            # Copy on write: torch wants writable memory, and no write may reach the file.
            values = np.load(values_path, mmap_mode="c", allow_pickle=False)
            expected = (tuple(record["shape"]), record["dtype"])
            shapes = record["shapes"]
            stored = Stored(
                values,
                float(record["seconds"]),
                None if shapes is None else tuple(tuple(shape) for shape in shapes),
            )
            whole = (values.shape, values.dtype.str) == expected and (
                hashlib.sha256(values.data).hexdigest() == record["sha256"]
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise DamagedError(f"{values_path} is damaged: {error}") from None
        if not whole:
            raise DamagedError(f"{values_path} is damaged: its content is not what was written")
        return stored

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
            raise StatisticsError(
                f"cannot write statistics to {self.path}: {error.strerror or error}; "
                "GP_EMQ_CACHE chooses another folder"
            ) from None


def _dump(document: object, file: BinaryIO) -> None:
    """Write JSON as UTF-8."""
    file.write(json.dumps(document, indent=1).encode())
