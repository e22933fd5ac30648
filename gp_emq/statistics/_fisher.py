"""The empirical Fisher diagonal from one backward pass per chunk."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from gp_emq.errors import StatisticsError
from gp_emq.networks import Samples, gives_rows, split, watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten, gradients_by
from gp_emq.statistics._image_gradients import ImageGradients
from gp_emq.statistics._network import FunctionalNetwork

_Adding = Callable[[FunctionalNetwork, list[Tensor], Samples, Samples, list[Tensor]], None]
_AGREEMENT = 1e-3
"""Relative difference up to which the products of factors are the gradients themselves."""


def fisher_diagonal(network: FunctionalNetwork, batch: Batch, *, by_rows: bool) -> Tensor:
    """Average the squared gradients of the single images' cross-entropies.

    A layer's gradient for one image is the product of what went in and of the gradient
    by what came out, so that one backward pass serves a whole chunk; that of a table is what came
    out of its rows, added up. That is done where layers are plain convolutions, products and
    embeddings with one row for each image, and where it gives the gradients of two images rightly;
    other networks are differentiated image by image.

    Args:
        network: The network.
        batch: The calibration batch.
        by_rows: Whether every call of every layer has one row for each image.

    Returns:
        float32 (N,).

    Raises:
        StatisticsError: Gradients of a layer are so small that float32 has no room for their
            squares.
    """
    weights = network.weights()
    add: _Adding = _add_images
    if by_rows and all(_is_plain(module) for module in network.modules):
        few = batch.pick(slice(0, 2))
        if _agree(*(_summed(one, network, weights, *few) for one in (_add_chunk, _add_images))):
            add = _add_chunk
    total = [torch.zeros_like(value) for value in weights]
    for images, labels in batch.chunks():
        add(network, weights, images, labels, total)
    _refuse_vanishing(network, weights, batch, total)
    return flatten(total) / len(batch)


def _refuse_vanishing(
    network: FunctionalNetwork, weights: list[Tensor], batch: Batch, total: Sequence[Tensor]
) -> None:
    """Refuse a layer whose gradients are not zero, but none of whose squares is a normal number."""
    tiny = torch.finfo(torch.float32).tiny
    small = [place for place, squares in enumerate(total) if float(squares.amax()) < tiny]
    if not small:
        return
    for images, labels in batch.chunks():
        for image, label in zip(split(images, 1), split(labels, 1), strict=True):
            loss = network.summed_loss(weights, image, label)
            chosen = [weights[place] for place in small]
            gradients = torch.autograd.grad(loss, chosen, materialize_grads=True)
            for place, gradient in zip(small, gradients, strict=True):
                if bool(gradient.any()):
                    raise StatisticsError(
                        f"gradients by the weight of layer {network.weight_layers[place].name!r} "
                        f"are {float(gradient.abs().amax()):.3g} at most for an image, too small "
                        "for float32 to hold their squares: the Fisher diagonal cannot be had"
                    )


def _is_plain(module: nn.Module) -> bool:
    """Tell whether a layer's forward is the plain operator."""
    if "forward" in module.__dict__:
        return False
    if isinstance(module, nn.Embedding):
        return gives_rows(module)
    if isinstance(module, nn.Conv2d):
        own = type(module).forward is nn.Conv2d.forward
        return own and type(module)._conv_forward is nn.Conv2d._conv_forward
    return type(module).forward is nn.Linear.forward


def _summed(
    add: _Adding,
    network: FunctionalNetwork,
    weights: list[Tensor],
    images: Samples,
    labels: Samples,
) -> list[Tensor]:
    total = [torch.zeros_like(value) for value in weights]
    add(network, weights, images, labels, total)
    return total


def _agree(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Compare squared gradients, weight by weight."""
    return all(
        float((one - other).norm()) <= _AGREEMENT * float(other.norm())
        for one, other in zip(found, expected, strict=True)
    )


def _add_images(
    network: FunctionalNetwork,
    weights: list[Tensor],
    images: Samples,
    labels: Samples,
    total: list[Tensor],
) -> None:
    """Add the squared gradients of single images to `total`, in place."""
    for image, label in zip(split(images, 1), split(labels, 1), strict=True):
        loss = network.summed_loss(weights, image, label)
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        for squares, gradient in zip(total, gradients, strict=True):
            squares.addcmul_(gradient, gradient)


def _add_chunk(
    network: FunctionalNetwork,
    weights: list[Tensor],
    images: Samples,
    labels: Samples,
    total: list[Tensor],
) -> None:
    """Add the squared per-image gradients of one chunk to `total`, in place."""
    with watching(network.modules) as records:
        loss = network.summed_loss(weights, images, labels)
    outputs = [call.output for record in records for call in record]
    gradients = gradients_by(loss, outputs)
    owners = [layer.shares or layer.name for layer in network.layers]
    factors = {owner: ImageGradients() for owner in owners}
    with torch.no_grad():
        for owner, module, record in zip(owners, network.modules, records, strict=True):
            for call in record:
                factors[owner].add(module, call.input, gradients.pop(0).float())
        for layer, squares in zip(network.weight_layers, total, strict=True):
            found = factors[layer.name].squares(squares.shape)
            if found is not None:
                squares.add_(found.to(squares.device))
