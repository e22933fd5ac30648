"""Images of one's own: arrays as a network takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.files import read_npz
from gp_emq.networks._registry import Network

_BRIGHT, _BRIGHTEST = 32, 255
"""The largest pixel of some pictures is hardly less than the first, and at most the second."""


def read_arrays(path: Path) -> tuple[Tensor, Tensor | None] | None:
    """Read an `.npz` file of arrays as a network takes them.

    Args:
        path: The file: `x` float32 (n, C, H, W) and, where there are labels, `y` (n,).

    Returns:
        Images and labels, or None if the file has pixels (uint8) instead.

    Raises:
        DataError: It does not read, or holds something else.
    """
    found = read_npz(path, ["x"], DataError, "images x and labels y", optional=["y"])
    images, labels = found["x"], found.get("y")
    if images.dtype == np.uint8:
        return None
    if images.dtype != np.float32 or images.ndim != 4 or not len(images):
        raise DataError(
            f"{path}: x must be float32 (n, C, H, W), or pixels as uint8, "
            f"not {images.dtype} {images.shape}; other inputs come in a workload (--workload)"
        )
    if labels is not None and labels.shape != (len(images),):
        raise DataError(f"{path}: y has shape {labels.shape}, but there are {len(images)} images")
    if labels is not None and not _are_whole(labels):
        raise DataError(f"{path}: y must be {len(images)} whole numbers, not {labels.dtype}")
    as_tensor = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    return torch.from_numpy(images), as_tensor


def _are_whole(values: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):  # of what is no number
        return np.array_equal(values, values.astype(np.int64))


def look_like_pixels(images: Tensor) -> bool:
    """Tell whether images hold the numbers of pixels: whole ones of 0 to 255, and large ones."""
    low, high = (float(end) for end in images.aminmax())
    return low >= 0 and _BRIGHT < high <= _BRIGHTEST and bool((images == images.round()).all())


def own_arrays(data: Sequence[Path]) -> tuple[Tensor, Tensor | None] | None:
    """Read data that is one `.npz` file of arrays, see `read_arrays`; None for any other."""
    return read_arrays(data[0]) if [path.suffix for path in data] == [".npz"] else None


def fitting_arrays(network: Network, path: Path) -> tuple[Tensor, Tensor | None] | None:
    """Read a file of arrays as a network takes them.

    Args:
        network: The network.
        path: As for `read_arrays`.

    Returns:
        As `read_arrays`.

    Raises:
        DataError: As `read_arrays`, or the images are of another shape.
    """
    found = read_arrays(path)
    if found is not None:
        check_fit(network, path, found[0])
    return found


def check_fit(network: Network, path: Path, images: Tensor) -> None:
    """Refuse images of another shape than a network takes.

    Raises:
        DataError: They are.
    """
    if tuple(images.shape[1:]) != network.input_shape:
        raise DataError(
            f"{path}: x has images of shape {tuple(images.shape[1:])}, but {network.name} takes "
            f"{network.input_shape}; x must be uint8 where it holds pixels (n, H, W, C)"
        )


def drawn(samples: int, wanted: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw which samples to take, and which are left, int64 each, in the order of the draw."""
    order = torch.from_numpy(np.random.default_rng((seed, 0)).permutation(samples))
    return order[:wanted], order[wanted:]
