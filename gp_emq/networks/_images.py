"""Labelled images, and where each data set finds them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.networks import _digits
from gp_emq.networks._cifar import cifar_places, read_cifar
from gp_emq.networks._imagenet import read_imagenet
from gp_emq.networks._registry import DATA_VARIABLE, network_specifications
from gp_emq.networks._samples import sha256_of_values

RESIZED = "imagenet-resized"
"""ImageNet whose images were resized before, so that their pixels are kept."""
DATA_SETS = ("digits", "cifar10", "imagenet", RESIZED)
_ELEMENTS_PER_PASS = 153_600


@dataclass(frozen=True)
class ImageSet:
    """Images as a network takes them, with labels.

    Attributes:
        images: float32 (n, C, H, W), normalized.
        labels: int64 (n,).
        groups: number of base images; image `i` shows base image `i % groups`. Smaller than
            n only where the same image was distorted several times.
    """

    images: Tensor
    labels: Tensor
    groups: int

    def subset(self, indices: Tensor) -> "ImageSet":
        """Return some of the images, each a base image of its own."""
        return ImageSet(self.images[indices], self.labels[indices], len(indices))

    def sha256(self) -> str:
        """Return the sha256 of images and labels, in hexadecimal."""
        return sha256_of_values(self.images, self.labels)


def data_set_of(network: str, input_shape: Sequence[int]) -> str:
    """Return the name of the data set that a network was made for.

    Args:
        network: its name; for one that is not registered the input shape decides.
        input_shape: (C, H, W).
    """
    for specification in network_specifications():
        if specification.name == network:
            input_shape = specification.input_shape
    known: dict[tuple[int, ...], str] = {(1, 8, 8): "digits", (3, 32, 32): "cifar10"}
    return known.get(tuple(input_shape), "imagenet")


def load_images(
    data_set: str, paths: Sequence[Path] = (), *, part: str = "test"
) -> ImageSet | None:
    """Load the training or the test images of a data set.

    Args:
        data_set: `"digits"`, `"cifar10"`, `"imagenet"`, or `"imagenet-resized"` for images of
            ImageNet that were resized before and keep their pixels.
        paths: files and folders that hold it; without any, those in the folder that the
            environment variable `GP_EMQ_DATA` names. The digits need none.
        part: `"training"` or `"test"`.

    Returns:
        The images, or `None` if what was found has no such part.

    Raises:
        DataError: if nothing is found, or what is found does not read.
    """
    if data_set not in DATA_SETS:
        raise DataError(f"unknown data set {data_set!r}: known are {', '.join(DATA_SETS)}")
    if data_set == "digits":
        images, labels = _digits.digits_test() if part == "test" else _digits.digits_training()
        groups = len(labels) // (_digits.TEST_DRAWS if part == "test" else 1)
        return ImageSet(images, labels, groups)
    resized = data_set == RESIZED
    data_set = "imagenet" if resized else data_set
    found = _existing(data_set, paths)
    if data_set == "cifar10":
        arrays = read_cifar(found, part=part)
    else:
        arrays = read_imagenet(found, part=part, resized=resized)
    if arrays is None:
        return None
    return ImageSet(arrays[0], arrays[1], len(arrays[1]))


def load_calibration(
    data_set: str, paths: Sequence[Path] = (), *, count: int, seed: int
) -> ImageSet:
    """Load the calibration batch of a bench.

    It is drawn without replacement from the training images or, where there are none, from
    the test images.

    Args:
        data_set: as for `load_images`.
        paths: as for `load_images`.
        count: images of the batch.
        seed: of the draw.

    Raises:
        DataError: if nothing is found, or fewer images than are asked for.
    """
    source = load_images(data_set, paths, part="training")
    if source is None:
        source = _load_test(data_set, paths)
    return source.subset(_draw(source, count, seed)[:count])


def load_rest(
    data_set: str, paths: Sequence[Path] = (), *, calibration: int, seed: int
) -> ImageSet:
    """Load what a draw of `load_calibration` leaves, in the order of the draw.

    Args:
        data_set: as for `load_images`.
        paths: as for `load_images`.
        calibration: images of the calibration batch.
        seed: of the draw.

    Raises:
        DataError: if nothing is found, or there are not more images than calibrate.
    """
    source = load_images(data_set, paths, part="training")
    if source is None:
        source = _load_test(data_set, paths)
    return source.subset(_draw(source, calibration, seed)[calibration:])


def load_test(
    data_set: str, paths: Sequence[Path] = (), *, calibration: int, count: int | None, seed: int
) -> ImageSet:
    """Load the test images of a bench.

    Where there are no training images, those of the calibration batch are left out.

    Args:
        data_set: as for `load_images`.
        paths: as for `load_images`.
        calibration: images of the calibration batch.
        count: how many to keep, drawn with the seed; all of them by default.
        seed: of the draws.

    Raises:
        DataError: if nothing is found, or fewer images than are asked for.
    """
    test = _load_test(data_set, paths)
    if not has_training_part(data_set, paths):
        test = test.subset(_draw(test, calibration, seed)[calibration:].sort().values)
    if count is None or count == len(test.labels):
        return test
    if not 0 < count < len(test.labels):
        raise DataError(f"{count} test images: there are {len(test.labels)}")
    order = np.random.default_rng((seed, 1)).permutation(len(test.labels))
    return test.subset(torch.from_numpy(order[:count]).sort().values)


def batch_size(input_shape: Sequence[int]) -> int:
    """Return how many images go through a network at once: few enough to stay in the cache.

    Args:
        input_shape: (C, H, W) of one image.
    """
    return max(4, min(256, _ELEMENTS_PER_PASS // int(np.prod(input_shape))))


def has_training_part(data_set: str, paths: Sequence[Path] = ()) -> bool:
    """Say whether a data set has training images where it is looked for."""
    if data_set == "cifar10":
        return bool(cifar_places(_existing(data_set, paths), part="training"))
    return data_set == "digits"


def _existing(data_set: str, paths: Sequence[Path]) -> list[Path]:
    found = list(paths) or [_default_folder(data_set)]
    for path in found:
        if not path.exists():
            raise DataError(f"no {data_set} data at {path}: {_HINTS[data_set]}")
    return found


def _load_test(data_set: str, paths: Sequence[Path]) -> ImageSet:
    test = load_images(data_set, paths, part="test")
    if test is None:
        hint = _HINTS["cifar10" if data_set == "cifar10" else "imagenet"]
        raise DataError(f"{data_set} data without test images: {hint}")
    return test


def _draw(source: ImageSet, count: int, seed: int) -> Tensor:
    if not 0 < count < len(source.labels):
        raise DataError(f"{count} calibration images: give 1 to {len(source.labels) - 1}")
    return torch.from_numpy(np.random.default_rng((seed, 0)).permutation(len(source.labels)))


def _default_folder(data_set: str) -> Path:
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        raise DataError(f"no {data_set} data: {_HINTS[data_set]}")
    return Path(folder) / data_set


_HINTS: dict[str, str] = {
    "cifar10": (
        "give .npz files of x (uint8, NHWC) and y named test*.npz and train*.npz, or the folder "
        "into which torchvision.datasets.CIFAR10 downloads, or set GP_EMQ_DATA"
    ),
    "imagenet": (
        "give a folder of class folders, or a folder of images and a .csv of file,label, or set "
        "GP_EMQ_DATA"
    ),
}
