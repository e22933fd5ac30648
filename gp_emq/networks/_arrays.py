"""Images of one's own: arrays as a network takes them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.files import read_npz


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
            f"not {images.dtype} {images.shape}"
        )
    if labels is not None and labels.shape != (len(images),):
        raise DataError(f"{path}: y has shape {labels.shape}, but there are {len(images)} images")
    as_tensor = None if labels is None else torch.from_numpy(labels.astype(np.int64))
    return torch.from_numpy(images), as_tensor
