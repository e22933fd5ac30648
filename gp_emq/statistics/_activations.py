"""Outputs of the layers and gradients by them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.networks import Layer, Samples, split, watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten, gradients_by
from gp_emq.statistics._layout import Shape
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._seeds import IMAGES, generator


@dataclass(frozen=True)
class Activations:
    """One tensor per layer.

    Attributes:
        values: float32 (M,), the tensors end to end.
        shapes: Their shapes.
        elements: int64 (layers, k), how many elements of each are of each image; a tensor holds
            those of the first image, then those of the second. Where no image has any, the
            tensor is one row of zeros.
    """

    values: Tensor
    shapes: tuple[Shape, ...]
    elements: Tensor


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


def activation(
    network: FunctionalNetwork, batch: Batch, kept: Tensor, *, by_rows: bool
) -> Activations:
    """Record each layer's own output, over all calls of it.

    An image's outputs are joined along the first axis where a layer's calls agree in shape, and
    along their positions where they do not; those of several images along the first axis where
    the others agree, and end to end where they do not.

    Args:
        network: The network.
        batch: The calibration batch.
        kept: int64 (k,), the images to run.
        by_rows: Whether all layers have one row for each image, so that all may run at once.
    """
    images, _ = batch.pick(kept)
    with torch.no_grad():
        return joined(
            network.layers,
            (
                _outputs(network, part, by_rows=by_rows)
                for part in split(images, len(kept) if by_rows else 1)
            ),
            len(kept),
        )


def activation_gradient(
    network: FunctionalNetwork, batch: Batch, kept: Tensor, *, by_rows: bool
) -> Activations:
    """Differentiate the mean cross-entropy over the whole batch by the kept activations.

    No image sees another, so that the kept images' share of the loss is all that depends on
    their activations.

    Args:
        network: The network.
        batch: The calibration batch.
        kept: int64 (k,), the images to run.
        by_rows: As for `activation`, whose shapes these have.
    """
    images, labels = batch.pick(kept)
    size = len(kept) if by_rows else 1

    def parts() -> Iterator[list[list[Tensor]]]:
        for some, answers in zip(split(images, size), split(labels, size), strict=True):
            with watching(network.modules) as records:
                loss = network.summed_loss(network.weights(), some, answers) / len(batch)
            outputs = [call.output for calls in records for call in calls]
            found = gradients_by(loss, outputs)
            yield [
                by_image(layer, [found.pop(0) for _ in calls], by_rows=by_rows)
                for layer, calls in zip(network.layers, records, strict=True)
            ]

    return joined(network.layers, parts(), len(kept))


def _outputs(network: FunctionalNetwork, images: Samples, *, by_rows: bool) -> list[list[Tensor]]:
    """Run images and return each layer's output, as one tensor or none if it is not called."""
    with watching(network.modules) as records:
        network.logits(network.weights(), images)
    return [
        by_image(layer, [call.output for call in calls], by_rows=by_rows)
        for layer, calls in zip(network.layers, records, strict=True)
    ]


def by_image(layer: Layer, calls: Sequence[Tensor], *, by_rows: bool) -> list[Tensor]:
    """Join a layer's calls: those of one image, or of several that have one row each."""
    calls = [_batched(layer, call.float()) for call in calls]
    if len(calls) < 2:
        return list(calls)
    if len({call.shape for call in calls}) == 1:
        return [torch.stack(calls, dim=1).flatten(0, 1) if by_rows else torch.cat(calls)]
    axis = 2 if layer.is_convolution else 1
    return [torch.cat([_positions(layer, call, by_rows=by_rows) for call in calls], dim=axis)]


def _batched(layer: Layer, output: Tensor) -> Tensor:
    """Give the output of a layer that was called without a first axis one."""
    return output[None] if output.dim() == len(layer.weight_shape) - 1 else output


def _positions(layer: Layer, output: Tensor, *, by_rows: bool) -> Tensor:
    """Lay an output's positions end to end.

    Returns:
        (rows, channels, positions) of a convolution, (rows, positions, channels) of a product;
        one row unless there is one for each image.
    """
    rows = len(output) if by_rows else 1
    if not layer.is_convolution:
        return output.reshape(rows, -1, output.shape[-1])
    moved = output if by_rows else output.transpose(0, 1)
    return moved.reshape(rows, output.shape[1], -1)


def joined(
    layers: Sequence[Layer], parts: Iterator[list[list[Tensor]]], images: int
) -> Activations:
    """Join the tensors of parts of the images, layer by layer."""
    found: list[list[Tensor]] = [[] for _ in layers]
    elements: list[list[int]] = [[] for _ in layers]
    for part in parts:
        for tensors, counts, new in zip(found, elements, part, strict=True):
            tensors.extend(value.detach().cpu() for value in new)
            counts.append(sum(value.numel() for value in new))
    whole = [_images_joined(layer, some) for layer, some in zip(layers, found, strict=True)]
    table = torch.tensor(elements)
    if table.shape[1] < images:  # all of them at once, with equal rows
        table = (table // images).expand(-1, images).contiguous()
    return Activations(flatten(whole), tuple(tuple(value.shape) for value in whole), table)


def _images_joined(layer: Layer, tensors: Sequence[Tensor]) -> Tensor:
    """Join one layer's tensors of several images."""
    if not tensors:
        return torch.zeros(1, layer.output_channels)
    if len({value.shape[1:] for value in tensors}) == 1:
        return torch.cat(list(tensors))
    return torch.cat([_positions(layer, value, by_rows=False).reshape(-1) for value in tensors])
