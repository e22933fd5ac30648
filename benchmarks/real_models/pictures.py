"""Photographs that come with packages, as the networks here take them."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.nn import functional


def photographs() -> list[Tensor]:
    """Give three photographs: two of scikit-learn's, one of matplotlib's, uint8 (h, w, 3)."""
    portrait = image.imread(Path(mpl.get_data_path(), "sample_data", "grace_hopper.jpg"))
    pictures = [*load_sample_images().images, portrait]
    return [torch.from_numpy(np.array(picture, dtype=np.uint8)) for picture in pictures]


def cuts(count: int, side: int, seed: int = 0) -> Tensor:
    """Cut squares out of the photographs, in turn.

    Each is at a place of its own, 64 to 320 pixels wide, evenly in octaves, and brought to one
    size.

    Args:
        count: How many.
        side: Of what is given.
        seed: Of the draws.

    Returns:
        Float32 in [0, 1], (n, 3, side, side).
    """
    pictures = [picture.permute(2, 0, 1)[None].float() / 255 for picture in photographs()]
    numbers = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        wide, down, right = torch.rand(3, generator=numbers).tolist()
        width = round(64 * 5**wide)
        top = int(down * (picture.shape[2] - width))
        left = int(right * (picture.shape[3] - width))
        part = picture[:, :, top : top + width, left : left + width]
        found.append(functional.interpolate(part, (side, side), mode="bilinear", antialias=True))
    return torch.cat(found)
