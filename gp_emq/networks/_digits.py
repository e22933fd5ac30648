"""The digits of scikit-learn as a task: split, pixel scale, and distortions.

1,797 images of 8x8 pixels with values 0 to 16. They are divided by 16, distorted where a
caller asks for it, and standardized as `(x - 0.3) / 0.4`. A permutation with seed 0 takes the
first 797 for training and the other 1,000 for tests.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRAINING_IMAGES = 797
SPLIT_SEED = 0
TEST_SEED = 1
TEST_DRAWS = 4
TEST_NOISE = 0.1
TRAINING_NOISE = 0.15
PIXEL_MEAN = 0.3
PIXEL_DEVIATION = 0.4
_SIDE = 8
_FILE = "datasets/data/digits.csv.gz"


def digits_split() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the images in [0, 1], (n, 1, 8, 8), and labels of training and test part."""
    rows = _rows()
    images = torch.from_numpy(rows[:, :-1].reshape(-1, 1, _SIDE, _SIDE) / 16).float()
    labels = torch.from_numpy(rows[:, -1]).long()
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(labels)))
    training, test = order[:TRAINING_IMAGES], order[TRAINING_IMAGES:]
    return (images[training], labels[training]), (images[test], labels[test])


def _rows() -> NDArray[np.float64]:
    """Return the pixels, 0 to 16, and the label of every image, (1797, 65).

    The file is read where scikit-learn has it, since importing that takes a second.
    """
    package = find_spec("sklearn")
    file = Path(package.origin if package and package.origin else "").parent / _FILE
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, rarely needed

    pixels, labels = load_digits(return_X_y=True)
    return np.column_stack([pixels, labels])


def standardize(images: Tensor) -> Tensor:
    """Bring images in [0, 1] to the scale that the digits network takes."""
    return (images - PIXEL_MEAN) / PIXEL_DEVIATION


def distort(images: Tensor, noise: float, generator: np.random.Generator) -> Tensor:
    """Shift each image by -1, 0 or 1 pixel in both directions and add Gaussian noise.

    Args:
        images: float32 (n, 1, 8, 8) in [0, 1].
        noise: standard deviation of the noise.
        generator: draws the shifts, then the noise.

    Returns:
        The distorted images, same shape; what a shift uncovers is 0 plus noise.
    """
    count = len(images)
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    starts = torch.from_numpy(generator.integers(0, 3, (count, 2)))
    pixels = torch.arange(_SIDE)
    rows = (starts[:, :1] + pixels)[:, :, None]
    columns = (starts[:, 1:] + pixels)[:, None, :]
    shifted = padded[torch.arange(count)[:, None, None], 0, rows, columns][:, None]
    disturbance = generator.standard_normal(tuple(shifted.shape), dtype=np.float32)
    return shifted + noise * torch.from_numpy(disturbance)


def digits_training() -> tuple[Tensor, Tensor]:
    """Return the undistorted training images, standardized, and their labels."""
    (images, labels), _ = digits_split()
    return standardize(images), labels


def digits_test() -> tuple[Tensor, Tensor]:
    """Return the test images, each distorted four times with fixed seeds, and their labels.

    Image `i` is a distortion of the base image `i % 1000`: draws follow one another.
    """
    _, (images, labels) = digits_split()
    generator = np.random.default_rng(TEST_SEED)
    draws = [distort(images, TEST_NOISE, generator) for _ in range(TEST_DRAWS)]
    return standardize(torch.cat(draws)), labels.repeat(TEST_DRAWS)
