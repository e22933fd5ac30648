"""How the divergence of a network's answers changes with its weights."""

import torch
from torch import Tensor

from gp_emq.networks import count, in_double
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten
from gp_emq.statistics._network import FunctionalNetwork


def divergence_gradient(
    network: FunctionalNetwork, quantized: FunctionalNetwork, batch: Batch
) -> Tensor:
    """Differentiate the mean divergence of a quantized network's answers by its weights.

    Args:
        network: The float network.
        quantized: The same network at other weights, where the gradient is taken.
        batch: The calibration batch.

    Returns:
        float32 (N,).
    """
    weights = quantized.weights()
    total = [torch.zeros_like(value) for value in weights]
    for images, _ in batch.chunks():
        with torch.no_grad():
            before = in_double(network.outputs(network.weights(), images))
        after = in_double(quantized.outputs(weights, images))
        mean = network.workload.divergence(before, after, count(images)) / len(batch)
        parts = torch.autograd.grad(mean, weights, materialize_grads=True)
        for whole, part in zip(total, parts, strict=True):
            whole.add_(part)
    return flatten(total)
