"""Learned roundings that outlast an interruption."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from gp_emq.errors import DataError, RunError
from gp_emq.files import one_line, parse_tensors, read_entry, write_entry


class LearnedRoundings:
    """Files of rounded weights, one for each thing that was learned.

    A file appears complete or not at all, says what it is of, and has a checksum. One that was
    damaged since, or is of something else, counts as missing and is written anew.

    Args:
        folder: where they are kept, named after all that they are learned from, the code that
            learns them too; `None` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, key: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor] | None:
        """Return rounded weights, or `None` if they are not learned yet.

        Args:
            key: what was learned; the name of its file.
            shapes: of the weights, by name.

        Returns:
            The integers by name, int16.
        """
        if self.folder is None:
            return None
        content = read_entry(self._path(self.folder, key), self._mark(self.folder, key))
        if content is None:
            return None
        try:
            found = parse_tensors(content, DataError, key)
        except DataError:
            return None
        expected = {name: (torch.int16, tuple(shape)) for name, shape in shapes.items()}
        kinds = {name: (value.dtype, tuple(value.shape)) for name, value in found.items()}
        return found if kinds == expected else None

    def put(self, key: str, integers: Mapping[str, Tensor]) -> None:
        """Keep rounded weights.

        Args:
            key: what was learned.
            integers: by the weight's name; they are kept as int16.

        Raises:
            DataError: if the folder cannot be written.
        """
        if self.folder is None:
            return
        kept = {name: value.to(torch.int16).contiguous() for name, value in integers.items()}
        try:
            content = safetensors.torch.save(kept)
            write_entry(self._path(self.folder, key), self._mark(self.folder, key), content)
        except (OSError, RunError) as error:
            raise DataError(
                f"cannot keep learned rounding in {self.folder}: {one_line(error)}"
            ) from error

    def discard(self) -> None:
        """Remove the folder."""
        if self.folder is not None and self.folder.is_dir():
            shutil.rmtree(self.folder)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.safetensors"

    @staticmethod
    def _mark(folder: Path, key: str) -> str:
        """Say what a file is of: the folder's name has all but the key."""
        return f"{folder.resolve().name}/{key}"
