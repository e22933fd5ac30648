"""Learned roundings that outlast an interrupted build."""

import os
import shutil
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gp_emq.errors import BenchError


class LearnedRoundings:
    """Files of rounded weights, one for each layer and width.

    Args:
        folder: where they are kept; `None` keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    def get(self, index: int, bits: int) -> Tensor | None:
        """Return a layer's integers, int16 shaped as its weight, or `None` if not learned yet.

        Raises:
            BenchError: if the file is damaged.
        """
        if self.folder is None or not self._path(self.folder, index, bits).is_file():
            return None
        path = self._path(self.folder, index, bits)
        try:
            return safetensors.torch.load_file(path)["integers"].to(torch.int16)
        except (safetensors.SafetensorError, KeyError) as error:
            raise BenchError(f"{path} is damaged ({error}): remove it") from error

    def put(self, index: int, bits: int, integers: Tensor) -> None:
        """Keep a layer's integers; the file appears complete or not at all."""
        if self.folder is None:
            return
        self.folder.mkdir(exist_ok=True)
        path = self._path(self.folder, index, bits)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        safetensors.torch.save_file({"integers": integers.contiguous()}, part)
        part.replace(path)

    def discard(self) -> None:
        """Remove the folder."""
        if self.folder is not None and self.folder.is_dir():
            shutil.rmtree(self.folder)

    @staticmethod
    def _path(folder: Path, index: int, bits: int) -> Path:
        return folder / f"layer{index:03d}-bits{bits}.safetensors"
