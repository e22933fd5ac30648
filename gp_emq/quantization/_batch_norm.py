"""Statistics of batch and instance norms of the quantized network instead of the float one's."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

from gp_emq.errors import QuantizationError
from gp_emq.networks import Samples, count, input_of


def batch_norms(model: nn.Module) -> list[_NormBase]:
    """Return the batch norms, and instance norms, of a network that keep statistics."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _NormBase) and module.running_mean is not None
    ]


def check_enough_images(model: nn.Module, images: Samples) -> None:
    """Refuse a single image where there are batch norms to estimate statistics of.

    Args:
        model: the network.
        images: (n, ...).

    Raises:
        QuantizationError: if there is one image, and a batch norm.
    """
    if count(images) < 2 and batch_norms(model):
        raise QuantizationError("batch-norm statistics need at least 2 images, not 1")


@contextlib.contextmanager
def estimating(norms: Sequence[_NormBase]) -> Iterator[None]:
    """Inside the block, a pass replaces the statistics of batch norms by those of its batch.

    A norm that the pass calls several times gets the statistics of all that it is fed, and so do
    norms that share their statistics; one that it does not call keeps its own. An instance norm
    gets the mean of the statistics of its instances, as training gives it. Everything else in the
    network stays in the mode that it is in; the norms come back in the mode, with the momentum and
    with the counter that they had.

    Args:
        norms: the norms.
    """
    before = [(norm.training, norm.momentum, _copy(norm.num_batches_tracked)) for norm in norms]
    groups: dict[int, list[_NormBase]] = defaultdict(list)
    seen: dict[int, list[_Seen]] = defaultdict(list)
    handles = []
    for norm in norms:
        shared = id(norm.running_mean)
        groups[shared].append(norm)
        norm.train()
        norm.momentum = 1.0

        def add(
            module: nn.Module,
            arguments: tuple[Any, ...],
            named: dict[str, Any],
            _output: Any,
            shared: int = shared,
        ) -> None:
            assert isinstance(module, _NormBase)  # noqa: S101 - narrows the hook's type
            seen[shared].append(_seen(module, input_of(arguments, named)))

        handles.append(norm.register_forward_hook(add, with_kwargs=True))
    try:
        yield
        for shared, calls in seen.items():
            mean, variance = _pooled(calls)
            for norm in groups[shared]:
                norm.running_mean, norm.running_var = mean, variance
    finally:
        for handle in handles:
            handle.remove()
        for norm, (training, momentum, counter) in zip(norms, before, strict=True):
            norm.train(training)
            norm.momentum = momentum
            norm.num_batches_tracked = counter


@dataclass(frozen=True)
class _Seen:
    """Mean and unbiased variance of what a norm was fed in a call, per channel.

    Attributes:
        count: numbers of a channel, or instances of an instance norm.
        mean: (channels,).
        variance: (channels,).
        of_instances: whether they are means over instances.
    """

    count: int
    mean: Tensor
    variance: Tensor
    of_instances: bool


def _seen(norm: _NormBase, fed: Tensor) -> _Seen:
    assert norm.running_mean is not None  # noqa: S101 - batch_norms asks for them
    assert norm.running_var is not None  # noqa: S101
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    if isinstance(norm, _InstanceNorm):
        batched = fed.dim() > (2 if isinstance(norm, nn.InstanceNorm1d) else 3)
        return _Seen(len(fed) if batched else 1, mean, variance, of_instances=True)
    return _Seen(fed.numel() // fed.shape[1], mean, variance, of_instances=False)


def _pooled(calls: Sequence[_Seen]) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased variance of all calls from those of each."""
    first = calls[0]
    if len(calls) == 1:
        return first.mean, first.variance
    counts = torch.tensor([call.count for call in calls], dtype=torch.float64)
    column = counts[:, None].to(first.mean.device)
    means = torch.stack([call.mean for call in calls]).double()
    variances = torch.stack([call.variance for call in calls]).double()
    mean = (column * means).sum(0) / column.sum()
    if first.of_instances:
        variance = (column * variances).sum(0) / column.sum()
    else:
        squares = (column - 1) * variances + column * (means - mean).square()
        variance = squares.sum(0) / (column.sum() - 1)
    return mean.to(first.mean.dtype), variance.to(first.variance.dtype)


def _copy(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.clone()
