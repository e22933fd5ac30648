"""How valid files are made, beside those of `_samples`."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from gp_emq.files import entry_of

from . import _samples as sample
from ._old_store import as_format_1


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content, encoding="utf-8") and None


def weights(path: Path) -> None:
    safetensors.torch.save_file(sample.network().state_dict(), path)


def checkpoint(*, zipped: bool) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        state = {"state_dict": sample.network().state_dict(), "epoch": 3}
        torch.save(state, path, _use_new_zipfile_serialization=zipped)

    return make


def arrays(**arrays: object) -> Callable[[Path], None]:
    return lambda path: np.savez(path, **arrays)


def rounding(path: Path) -> None:
    sample.roundings(path.parent)


def statistics(path: Path) -> None:
    """Copy a collection, of which one file is then changed, to a folder of another name."""
    collected = sample.statistics(path.parents[1] / "cache").folder
    assert collected is not None
    for file in collected.iterdir():
        content = file.read_bytes()
        if file.suffix == ".json":
            key = f"{path.parent.name}/{file.stem}"
            content = entry_of(key, content.partition(b"\n")[2])
        (path.parent / file.name).write_bytes(content)


def published(path: Path) -> None:
    path.write_bytes(pickle.dumps(sample.TABLE))


def labels(path: Path) -> None:
    for name in ("a.png", "b.png"):
        (path.parent / name).touch()
    path.write_text("file,label\na.png,3\nb.png,999\n")


def store(path: Path) -> None:
    path.unlink(missing_ok=True)
    sample.store(path)


def old_store(path: Path) -> None:
    store(path)
    as_format_1(path.parent)
