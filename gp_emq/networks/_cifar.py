"""CIFAR-10 from `.npz` files or from the folder that torchvision downloads."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.files import read_npz
from gp_emq.networks._torchvision import import_torchvision

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CLASSES = 10
_DOWNLOADED = "cifar-10-batches-py"


def read_cifar(paths: Sequence[Path], *, part: str) -> tuple[Tensor, Tensor] | None:
    """Read the training or test images.

    Args:
        paths: `.npz` files, of which those whose name starts with `test` are the test part;
            folders of such files; folders that hold torchvision's download.
        part: `"training"` or `"test"`.

    Returns:
        Images float32 (n, 3, 32, 32), normalized as published ResNets expect, and labels
        int64 (n,); `None` if there are none of this part.

    Raises:
        DataError: if a file does not read or has other contents.
    """
    arrays = [
        _read_download(place, part) if place.is_dir() else _read_npz(place)
        for place in cifar_places(paths, part=part)
    ]
    if not arrays:
        return None
    pixels = np.concatenate([x for x, _ in arrays])
    labels = np.concatenate([y for _, y in arrays])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
    images.sub_(torch.tensor(MEAN)[:, None, None]).div_(torch.tensor(DEVIATION)[:, None, None])
    return images.contiguous(), torch.from_numpy(labels.astype(np.int64))


def cifar_places(paths: Sequence[Path], *, part: str) -> list[Path]:
    """Say which files, and which folders of a download, hold the training or the test images.

    Args:
        paths: As for `read_cifar`.
        part: `"training"` or `"test"`.

    Raises:
        DataError: If a folder holds nothing.
    """
    places: list[Path] = []
    for path in paths:
        if path.is_dir() and (path / _DOWNLOADED).is_dir():
            places.append(path)
            continue
        files = sorted(path.glob("*.npz")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path} holds neither .npz files nor {_DOWNLOADED}")
        places += [file for file in files if file.name.startswith("test") == (part == "test")]
    return places


def _read_npz(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    found = read_npz(path, ["x", "y"], DataError, "an .npz of x and y")
    pixels, labels = found["x"], found["y"]
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (32, 32, 3):
        raise DataError(
            f"{path}: x must be uint8 (n, 32, 32, 3), not {pixels.dtype} {pixels.shape}"
        )
    if labels.shape != pixels.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{path}: y must be {len(pixels)} integers, not {labels.dtype} {labels.shape}"
        )
    if len(labels) == 0 or labels.min() < 0 or labels.max() >= CLASSES:
        raise DataError(f"{path}: y must hold labels 0 to {CLASSES - 1}")
    return pixels, labels


def _read_download(path: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    # torchvision unpickles the downloaded batches only after their checksums agreed.
    try:
        data = import_torchvision("datasets").CIFAR10(path, train=part == "training")
    except (RuntimeError, OSError, EOFError) as error:
        raise DataError(f"{path / _DOWNLOADED} does not read: {error}") from error
    return data.data, np.asarray(data.targets)
