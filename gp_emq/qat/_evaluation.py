"""Accuracy on labelled images, shared among the processes that train together."""

from collections.abc import Iterator
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from gp_emq.networks import Workload
from gp_emq.qat._processes import Processes

EVALUATION_BATCH = 250


class LabelledImages(Protocol):
    """A data set of images as a network takes them, (C, H, W), with their labels."""

    def __len__(self) -> int:
        """Return how many images there are."""

    def __getitem__(self, index: int, /) -> tuple[Tensor, Tensor | int]:
        """Return an image and its label."""


def evaluate(
    network: nn.Module,
    test: LabelledImages | Workload,
    processes: Processes,
    *,
    workers: int = 0,
) -> float:
    """Return the share of images that a network labels rightly, or a workload's metric.

    Args:
        network: Maps (n, C, H, W) to logits; it is left in the mode it was in.
        test: Images as the network takes them, with labels; it has a length. Or a workload.
        processes: Each evaluates its part, or all of a workload; all return the same.
        workers: Processes that load images.
    """
    if isinstance(test, Workload):
        return float(test.of(network).measured(test.batch).double().mean())
    count, before = len(test), network.training
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=processes.device)
    try:
        with torch.inference_mode():
            for images, labels in _part(test, count, processes, workers):
                there = images.to(processes.device).contiguous(memory_format=torch.channels_last)
                found = network(there).argmax(1)
                right += (found == labels.to(processes.device)).sum()
    finally:
        network.train(before)
    return int(processes.sum(right)) / count


def _part(
    test: LabelledImages, count: int, processes: Processes, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    own = Subset(
        cast("Dataset[tuple[Tensor, Tensor | int]]", test),
        range(processes.rank, count, processes.count),
    )
    # The loader draws a seed it does not need; let it not be from the global generator.
    loader = DataLoader(
        own, batch_size=EVALUATION_BATCH, num_workers=workers, generator=torch.Generator()
    )
    yield from loader
