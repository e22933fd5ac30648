"""Batch-norm statistics of the quantized network instead of the float one's."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.errors import QuantizationError
from gp_emq.networks import input_of


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a network that keep statistics."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]


def check_enough_images(model: nn.Module, images: Tensor) -> None:
    """Refuse a single image where there are batch norms to estimate statistics of.

    Args:
        model: the network.
        images: (n, ...).

    Raises:
        QuantizationError: if there is one image, and a batch norm.
    """
    if len(images) < 2 and batch_norms(model):
        raise QuantizationError("batch-norm statistics need at least 2 images, not 1")


@contextlib.contextmanager
def estimating(norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Inside the block, a pass replaces the statistics of batch norms by those of its batch.

    A norm that the pass calls several times gets the statistics of all that it is fed; one that
    it does not call keeps its own. Everything else in the network stays in the mode that it is
    in; the norms come back in the mode, with the momentum and with the counter that they had.

    Args:
        norms: the batch norms.
    """
    before = [(norm.training, norm.momentum, _copy(norm.num_batches_tracked)) for norm in norms]
    sums: dict[_BatchNorm, list[tuple[int, Tensor, Tensor]]] = defaultdict(list)
    handles = []
    for norm in norms:
        norm.train()
        norm.momentum = 1.0

        def add(
            module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], _output: Any
        ) -> None:
            assert isinstance(module, _BatchNorm)  # noqa: S101 - narrows the hook's type
            assert module.running_mean is not None  # noqa: S101 - batch_norms asks for them
            assert module.running_var is not None  # noqa: S101
            fed = input_of(arguments, named)
            sums[module].append(
                (fed.numel() // fed.shape[1], module.running_mean.clone(),
                 module.running_var.clone())
            )  # fmt: skip

        handles.append(norm.register_forward_hook(add, with_kwargs=True))
    try:
        yield
        for norm, calls in sums.items():
            norm.running_mean, norm.running_var = _pooled(calls)
    finally:
        for handle in handles:
            handle.remove()
        for norm, (training, momentum, counter) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum
            norm.num_batches_tracked = counter


def _pooled(calls: Sequence[tuple[int, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased variance of all calls from those of each, and its elements."""
    if len(calls) == 1:
        return calls[0][1:]
    counts = torch.tensor([count for count, _, _ in calls], dtype=torch.float64)
    means = torch.stack([mean for _, mean, _ in calls]).double()
    variances = torch.stack([variance for _, _, variance in calls]).double()
    column = counts[:, None].to(means.device)
    mean = (column * means).sum(0) / column.sum()
    squares = (column - 1) * variances + column * (means - mean).square()
    variance = squares.sum(0) / (column.sum() - 1)
    return mean.to(calls[0][1].dtype), variance.to(calls[0][2].dtype)


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()
