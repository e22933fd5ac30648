"""Batch-norm statistics of the quantized network instead of the float one's."""

import contextlib
from collections.abc import Iterator, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a network."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


@contextlib.contextmanager
def estimating(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Inside the block, a pass replaces the statistics of batch norms by those of its batch.

    Everything else in the network stays in the mode that it is in; the norms come back in eval
    mode and with the momentum that they had.

    Args:
        norms: the batch norms.
    """
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.eval()
            norm.momentum = momentum
