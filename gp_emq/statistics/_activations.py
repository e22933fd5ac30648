"""Outputs of the layers and gradients by them."""

import torch
from torch import Tensor

from gp_emq.errors import StatisticsError
from gp_emq.networks import watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten
from gp_emq.statistics._layout import Shape
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._seeds import IMAGES, generator


def kept_images(total: int, most: int, seed: int) -> Tensor:
    """Choose the images whose activations are kept.

    Args:
        total: Images of the batch.
        most: Images to keep at most.
        seed: Seed of the choice.

    Returns:
        int64 (k,), rising, without repetition.
    """
    order = torch.randperm(total, generator=generator(seed, IMAGES))
    return order[:most].sort().values


def activation(network: FunctionalNetwork, batch: Batch, kept: Tensor) -> Tensor:
    """Record each layer's own output; the first call's, if a layer is called again.

    Args:
        network: The network.
        batch: The calibration batch.
        kept: int64 (k,), the images to run.

    Returns:
        float32 (M,), the outputs end to end.

    Raises:
        StatisticsError: A layer is not called.
    """
    return flatten(_outputs(network, batch, kept))


def activation_shapes(network: FunctionalNetwork, batch: Batch, kept: Tensor) -> tuple[Shape, ...]:
    """Shapes of each layer's output for the kept images."""
    return tuple(tuple(output.shape) for output in _outputs(network, batch, kept))


def activation_gradient(network: FunctionalNetwork, batch: Batch, kept: Tensor) -> Tensor:
    """Differentiate the mean cross-entropy over the whole batch by the kept activations.

    In eval mode no image sees another, so that the kept images' share of the loss is all
    that depends on their activations.

    Args:
        network: The network.
        batch: The calibration batch.
        kept: int64 (k,), the images to run.

    Returns:
        float32 (M,).
    """
    images, labels = batch.pick(kept)
    with watching(network.modules) as records:
        loss = network.summed_loss(network.weights(), images, labels) / len(batch)
    outputs = [record[0].output for record in records]
    return flatten(list(torch.autograd.grad(loss, outputs, materialize_grads=True)))


def _outputs(network: FunctionalNetwork, batch: Batch, kept: Tensor) -> list[Tensor]:
    """Run the kept images and return each layer's first output."""
    images, _ = batch.pick(kept)
    with torch.no_grad(), watching(network.modules) as records:
        network.logits(network.weights(), images)
    for layer, record in zip(network.layers, records, strict=True):
        if not record:
            raise StatisticsError(f"layer {layer.name!r} is never called by the network")
    return [record[0].output for record in records]
