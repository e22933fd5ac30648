"""First-order statistics of the weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gp_emq.errors import NetworkError
from gp_emq.networks import Samples
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._network import FunctionalNetwork


def flatten(tensors: list[Tensor]) -> Tensor:
    """Lay tensors end to end, on the CPU.

    Returns:
        (N,), detached.
    """
    return torch.cat([tensor.detach().reshape(-1).cpu() for tensor in tensors])


def gradients_by(loss: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """Differentiate by values on the way to the loss; zeros where it does not depend on them."""
    on_the_way = [value for value in values if value.requires_grad]
    found = iter(torch.autograd.grad(loss, on_the_way, materialize_grads=True))
    return [next(found) if value.requires_grad else torch.zeros_like(value) for value in values]


def weight(network: FunctionalNetwork) -> Tensor:
    """Return the layers' weights, float32 (N,)."""
    return flatten(network.weights())


def weight_gradient(network: FunctionalNetwork, batch: Batch) -> Tensor:
    """Differentiate the mean cross-entropy by the weights.

    Returns:
        float32 (N,).
    """
    weights = network.weights()
    total = [torch.zeros_like(value) for value in weights]
    for images, labels in batch.chunks():
        loss = network.summed_loss(weights, images, labels) / len(batch)
        parts = torch.autograd.grad(loss, weights, materialize_grads=True)
        for whole, part in zip(total, parts, strict=True):
            whole.add_(part)
    return flatten(total)


def virtual_gradient(network: FunctionalNetwork, one: Samples) -> Tensor:
    """Differentiate the summed logits of one all-ones image by the weights.

    Args:
        network: The network.
        one: One sample of ones, (1, C, H, W).

    Returns:
        float32 (N,).
    """
    return _ones_gradient(network, one, None).to(torch.float32)


def synflow_gradient(network: FunctionalNetwork, one: Samples) -> Tensor:
    """Compute the virtual gradient of the network whose parameters are their magnitudes.

    Magnitudes make sums grow from layer to layer, past what float32 holds in a deep
    network. The computation is float64, and where the largest value exceeds 2²⁰ all are
    multiplied by the one power of two that brings it below: a common factor changes no
    ranking of layers.

    Source: Tanaka et al., Pruning neural networks without any data by iteratively
    conserving synaptic flow, 2020, equation 1; buffers of batch norm stay as they are.

    Args:
        network: The network.
        one: One sample of ones, (1, C, H, W).

    Returns:
        float32 (N,).
    """
    values = _ones_gradient(network, one, torch.abs)
    exponent = int(torch.frexp(values.abs().max())[1])
    return torch.ldexp(values, torch.tensor(min(0, 20 - exponent))).to(torch.float32)


def _ones_gradient(
    network: FunctionalNetwork,
    one: Samples,
    transform: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    """Differentiate the summed logits of an all-ones image in float64 if possible, (N,)."""
    try:
        return _ones_gradient_in(torch.float64, network, one, transform)
    except NetworkError:
        # The network mixes types itself and takes no float64.
        return _ones_gradient_in(torch.float32, network, one, transform).double()


def _ones_gradient_in(
    dtype: torch.dtype,
    network: FunctionalNetwork,
    one: Samples,
    transform: Callable[[Tensor], Tensor] | None,
) -> Tensor:
    weights = [value.detach().to(dtype).requires_grad_() for value in network.weights(transform)]
    logits = network.logits(weights, one, transform, dtype)
    return flatten(list(torch.autograd.grad(logits.sum(), weights, materialize_grads=True)))
