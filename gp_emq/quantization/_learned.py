"""Learned roundings that outlast an interruption."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gp_emq.errors import DataError


class LearnedRoundings:
    """Files of rounded weights, one for each thing that was learned.

    A file appears complete or not at all; one that was damaged since counts as missing and is
    written anew.

    Args:
        folder: where they are kept; `None` keeps nothing.
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
        try:
            found = safetensors.torch.load_file(self._path(self.folder, key))
        except (safetensors.SafetensorError, OSError):
            return None
        if {name: tuple(value.shape) for name, value in found.items()} != dict(shapes):
            return None
        return {name: value.to(torch.int16) for name, value in found.items()}

    def put(self, key: str, integers: Mapping[str, Tensor]) -> None:
        """Keep rounded weights.

        Args:
            key: what was learned.
            integers: int16, by the weight's name.

        Raises:
            DataError: if the folder cannot be written.
        """
        if self.folder is None:
            return
        path = self._path(self.folder, key)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            safetensors.torch.save_file({k: v.contiguous() for k, v in integers.items()}, part)
            part.replace(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise DataError(f"cannot keep learned rounding in {self.folder}: {error}") from error

    def discard(self) -> None:
        """Remove the folder."""
        if self.folder is not None and self.folder.is_dir():
            shutil.rmtree(self.folder)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.safetensors"
