"""The calibration batch that statistics are collected on."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.errors import DataError
from gp_emq.networks import Samples, check_range, count, noised, split, take


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on samples, which shows what they are too few to show.

    Attributes:
        level: Standard deviation, in those of the samples' own values.
        draws: How many times each sample counts, with other noise each time.
    """

    level: float
    draws: int


@dataclass(frozen=True)
class Batch:
    """Samples with targets, cut into chunks that fit the network's memory.

    Attributes:
        images: float32 (n, C, H, W), or other samples.
        labels: int64 (n,), or other targets.
        chunk: Images at once.
    """

    images: Samples
    labels: Samples
    chunk: int

    def __len__(self) -> int:
        return count(self.images)

    def chunks(self) -> Iterator[tuple[Samples, Samples]]:
        """Yield images and labels, chunk by chunk."""
        yield from zip(
            split(self.images, self.chunk),
            split(self.labels, self.chunk),
            strict=True,
        )

    def in_even_chunks(self, least: int) -> "Batch":
        """Cut the same samples into chunks that are as good as equal.

        Args:
            least: Samples that a chunk has at least, where there are so many.
        """
        chunks = max(1, len(self) // max(self.chunk, least))
        return Batch(self.images, self.labels, -(-len(self) // chunks))

    def noised(self, noise: Noise) -> "Batch":
        """Give every sample several times over, each with its own noise; same batch, same noise.

        Args:
            noise: How much, and how many times.
        """
        places = torch.arange(len(self)).repeat(noise.draws)
        images, labels = self.pick(places)
        stream = torch.Generator().manual_seed(0)
        return Batch(noised(images, noise.level, stream), labels, self.chunk)

    def part(self, most: int, stream: torch.Generator) -> "Batch":
        """Draw some of the images, in their order; all of them if they are few enough.

        Args:
            most: Images at most.
            stream: Where the draw comes from.
        """
        if len(self) <= most:
            return self
        order = torch.randperm(len(self), generator=stream)[:most].sort().values
        return Batch(*self.pick(order), self.chunk)

    def pick(self, indices: Tensor | slice) -> tuple[Samples, Samples]:
        """Return images and labels at int64 (k,) indices."""
        return take(self.images, indices), take(self.labels, indices)


def check_labels(labels: Tensor, images: int, classes: int) -> Tensor:
    """Return labels as int64 on the CPU.

    Args:
        labels: (n,), whole numbers.
        images: The number of labels there must be.
        classes: Labels must lie below this.

    Raises:
        DataError: Another shape, or a label that is no class of the network.
    """
    if labels.shape != (images,) or labels.is_floating_point():
        raise DataError(
            f"labels must be {images} whole numbers, "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    labels = labels.detach().to("cpu", torch.int64)
    check_range(labels, classes)
    return labels
