"""Batch norms as a recipe leaves them that re-estimates their statistics."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.nn.modules.batchnorm import _NormBase

from gp_emq.errors import StatisticsError
from gp_emq.quantization import batch_norms
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._network import FunctionalNetwork

_MOST_TOGETHER = 64
"""Images that statistics of batch norms are of at least, where there are so many."""


@contextmanager
def by_their_own_statistics(norms: Sequence[_NormBase]) -> Iterator[None]:
    """Inside the block, batch norms take the statistics of the images that go through.

    What they keep of statistics stays as it is.

    Args:
        norms: The batch norms, and instance norms, of a network.
    """
    before = [(norm.training, norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm, (_, _, counter) in zip(norms, before, strict=True):
            norm.train()
            norm.momentum = 0.0
            norm.num_batches_tracked = None if counter is None else counter.clone()
        yield
    finally:
        for norm, (training, momentum, counter) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum
            norm.num_batches_tracked = counter


def renewable(batch: Batch) -> Batch:
    """Cut a batch so that batch norms can take the statistics of each part.

    Raises:
        StatisticsError: There is one image, which has no spread that a batch norm could take.
    """
    if len(batch) < 2:
        raise StatisticsError("statistics of batch norms need at least 2 images, not 1")
    return batch.in_even_chunks(_MOST_TOGETHER)


@contextmanager
def renewing(network: FunctionalNetwork, batch: Batch, *, renormed: bool) -> Iterator[Batch]:
    """Inside the block, a network's batch norms are as a recipe leaves them, if it does.

    Args:
        network: The network.
        batch: The calibration batch.
        renormed: Whether batch norms take the statistics of the images that go through.

    Yields:
        The batch, cut so that they can.

    Raises:
        StatisticsError: As `renewable`.
    """
    norms = batch_norms(network.network.model) if renormed else []
    batch = renewable(batch) if norms else batch
    with by_their_own_statistics(norms):
        yield batch
