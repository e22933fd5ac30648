"""Training images: the same sample of the same epoch is the same pixels, whoever loads it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from gp_emq.errors import DataError
from gp_emq.files import read_image
from gp_emq.networks import ImageSet, Workload, take

Key = tuple[int, int, int]
"""Seed, epoch and index of an image: what decides a sample."""


class ImageSource(Protocol):
    """Labelled images that are fetched one by one."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def fetch(self, index: int) -> tuple[Tensor, int]:
        """Return an image, (C, H, W), as augmentation takes it, and its label."""

    def fingerprint(self) -> str:
        """Return a text that other images or labels would have another of."""


class TensorImages:
    """Images that are in memory.

    Args:
        images: float32 (n, C, H, W), as a network takes them.
        labels: int64 (n,).
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if len(images) != len(labels):
            raise DataError(f"there are {len(images)} training images, but {len(labels)} labels")
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def fetch(self, index: int) -> tuple[Tensor, int]:
        """Return a normalized image and its label."""
        return self.images[index], int(self.labels[index])

    def fingerprint(self) -> str:
        """Return the sha256 of images and labels, in hexadecimal."""
        return ImageSet(self.images, self.labels, len(self)).sha256()


class FileImages:
    """Images that are read from their files when they are needed.

    Args:
        files: Path and label of each.
    """

    def __init__(self, files: Sequence[tuple[str | Path, int]]) -> None:
        self.files = files

    @property
    def labels(self) -> list[int]:
        """The label of each."""
        return [label for _, label in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def fetch(self, index: int) -> tuple[Tensor, int]:
        """Return an image's pixels, uint8 (3, H, W), and its label.

        Raises:
            DataError: The file does not read as an image.
        """
        path, label = self.files[index]
        pixels = np.array(read_image(Path(path)))
        return torch.from_numpy(pixels).permute(2, 0, 1), label

    def fingerprint(self) -> str:
        """Return the sha256 of labels and names, without the folders they may move between."""
        digest = hashlib.sha256()
        for path, label in self.files:
            digest.update(f"{Path(path).name}\0{label}\n".encode())
        return digest.hexdigest()


class Samples(Dataset[tuple[Tensor, int]]):
    """Augmented images by key.

    Args:
        source: The images.
        augment: Makes of an image (C, H, W) what the network takes, drawing from torch's
            global generator; None to take images as they are.
    """

    def __init__(
        self, source: ImageSource, augment: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.source, self.augment = source, augment

    def __len__(self) -> int:
        return len(self.source)

    def describe(self) -> dict[str, str]:
        """Return what decides the samples, as texts by name."""
        augment = self.augment
        name = getattr(augment, "name", None if augment is None else type(augment).__name__)
        return {"training_images": self.source.fingerprint(), "augmentation": str(name)}

    def __getitem__(self, key: Key) -> tuple[Tensor, int]:
        """Return the sample of a key: an image as the network takes it, and its label."""
        image, label = self.source.fetch(key[2])
        if self.augment is None:
            return image, label
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed_of(*key))
            return self.augment(image), label


class WorkloadSamples(Dataset[Any]):
    """The samples of a workload, with their targets, by key.

    Args:
        workload: The workload, with targets.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload

    def __len__(self) -> int:
        return len(self.workload)

    def describe(self) -> dict[str, str]:
        """Return what decides the samples and how they are judged, as texts by name."""
        found = {"training_samples": self.workload.samples_sha256()}
        return {**found, "workload": str(self.workload.identity())}

    def __getitem__(self, key: Key) -> Any:
        """Return a sample and its targets, without the axis of samples."""
        return take((self.workload.samples, self.workload.targets), key[2])


class PreparedImages:
    """Images to evaluate on: always the same pixels.

    Args:
        source: The images.
        prepare: Makes of an image what the network takes; None to take images as they are.
    """

    def __init__(
        self, source: ImageSource, prepare: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self.source, self.prepare = source, prepare

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return an image as the network takes it, and its label."""
        image, label = self.source.fetch(index)
        return image if self.prepare is None else self.prepare(image), label


def seed_of(*numbers: int) -> int:
    """Mix whole numbers of at least 0 into one seed, of 64 bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


class EpochBatches(Sampler[list[Key]]):
    """The keys of each batch of one epoch, in an order that seed and epoch decide.

    All processes draw the same order, and each takes its part of every batch, so that a batch
    holds the same images however many processes there are. The images that do not fill the
    last batch are left out; they are others in every epoch.

    Args:
        count: Number of images.
        batch: Images of one step, over all processes.
        seed: Of the order and of the augmentation.
        rank: Number of this process.
        processes: How many there are; they must divide the batch.
    """

    def __init__(
        self, count: int, batch: int, seed: int, *, rank: int = 0, processes: int = 1
    ) -> None:
        self.epoch = 0
        self._count, self._batch, self._seed = count, batch, seed
        self._part = slice(rank * (batch // processes), (rank + 1) * (batch // processes))

    def __len__(self) -> int:
        return self._count // self._batch

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng((self._seed, self.epoch)).permutation(self._count)
        for start in range(0, len(self) * self._batch, self._batch):
            chosen = order[start : start + self._batch][self._part]
            yield [(self._seed, self.epoch, int(index)) for index in chosen]
