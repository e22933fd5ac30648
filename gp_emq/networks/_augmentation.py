"""What training images go through, by data set: torchvision's transforms."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from torch import Tensor

from gp_emq.networks import _cifar as cifar
from gp_emq.networks import _digits as digits
from gp_emq.networks import _imagenet as imagenet
from gp_emq.networks._torchvision import import_torchvision


@dataclass(frozen=True)
class Augmentation:
    """The augmentation of a data set, by its name.

    It goes to the processes that load images as a name, and is made there, so that torchvision
    is imported in the one way that works everywhere.

    Attributes:
        name: One of `AUGMENTATIONS`.
        side: Pixels of the square image that comes out.
    """

    name: str
    side: int

    def __call__(self, image: Tensor) -> Tensor:
        """Return the image as the network takes it, float32 (C, H, W).

        Args:
            image: (C, H, W); normalized float32, or for ImageNet pixels as uint8.
        """
        result: Tensor = _made(self.name, self.side)(image)
        return result


@cache
def _made(name: str, side: int) -> Callable[[Tensor], Tensor]:
    v2 = import_torchvision("transforms.v2")
    made: Callable[[Tensor], Tensor] = v2.Compose(AUGMENTATIONS[name](v2, side))
    return made


def _digits(v2: ModuleType, side: int) -> list[Any]:
    """Shift by a pixel and add noise, as the digits network was trained."""
    black = -digits.PIXEL_MEAN / digits.PIXEL_DEVIATION
    noise = digits.TRAINING_NOISE / digits.PIXEL_DEVIATION
    return [v2.RandomCrop(side, padding=1, fill=black), v2.GaussianNoise(sigma=noise, clip=False)]


def _cifar10(v2: ModuleType, side: int) -> list[Any]:
    """Shift by up to four pixels and mirror, as in He et al. 2016, section 4.2."""
    black = [-mean / deviation for mean, deviation in zip(cifar.MEAN, cifar.DEVIATION, strict=True)]
    return [v2.RandomCrop(side, padding=4, fill=black), v2.RandomHorizontalFlip()]


def _imagenet(v2: ModuleType, side: int) -> list[Any]:
    """Crop at random sizes and mirror, as in torchvision's training of its networks."""
    return [
        v2.RandomResizedCrop(side, antialias=True),
        v2.RandomHorizontalFlip(),
        *imagenet.normalization(v2),
    ]


def _imagenet_test(v2: ModuleType, side: int) -> list[Any]:
    """Prepare an image as networks are tested on it."""
    return [v2.ToPILImage(), imagenet.preparation(side)]


AUGMENTATIONS: dict[str, Callable[[ModuleType, int], list[Any]]] = {
    "digits": _digits,
    "cifar10": _cifar10,
    "imagenet": _imagenet,
    "imagenet-test": _imagenet_test,
}
"""The transforms of a data set, given torchvision's module of them and the side of images."""
