"""Sums, over all images, of gradients times what quantizing a layer changes."""

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from gp_emq.networks import Samples, count, is_linear_map, split, watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._changes import changed_call
from gp_emq.statistics._gradients import gradients_by
from gp_emq.statistics._network import FunctionalNetwork
from gp_emq.statistics._products import Products

WEIGHTED, FORM = range(2)
"""The places of what `gradient_sums` gives."""

_AGREEMENT = 1e-3
"""Relative difference up to which a layer's own outputs are all that its weight acts through."""


def gradient_sums(
    network: FunctionalNetwork, batch: Batch, perturbations: Sequence[Tensor], *, by_rows: bool
) -> Tensor:
    """Average over the images what the gradients of their losses say of the perturbations.

    With ℓ the loss of one image, y a layer's own output, Δy its change where the layer alone is
    quantized, and ΔW the perturbation of its weight. Where layers are plain convolutions and
    products with one row for each image, ∇ℓ·ΔW is Σ ∂ℓ/∂y·Δy, so that one backward pass serves a
    whole chunk; other networks are differentiated image by image.

    Args:
        network: The network.
        batch: The calibration batch.
        perturbations: For each layer its quantized weight minus its weight, (bits, ...).
        by_rows: Whether every call of every layer has one row for each image.

    Returns:
        float64 (2, entries, bits): the mean of Σ (∂ℓ/∂y)²·(Δy)², over an entry's layers and
        positions, and that of (∇ℓ·ΔW)², over all of an entry's weights together.
    """
    sums = _Sums(network, perturbations)
    together = by_rows and all(map(is_linear_map, network.modules))
    if together:
        few = batch.pick(slice(0, 2))
        found, expected = sums.of_chunk(*few)[1], sums.of_images(*few)
        together = float((found - expected).norm()) <= _AGREEMENT * float(expected.norm())
    total = torch.zeros(2, *sums.shape, dtype=torch.float64)
    for images, labels in batch.chunks():
        weighted, along = sums.of_chunk(images, labels, along=together)
        total[WEIGHTED] += weighted
        if not together:
            along = sums.of_images(images, labels)
        total[FORM] += along.square().sum(dim=0)
    return total / len(batch)


class _Sums:
    def __init__(self, network: FunctionalNetwork, perturbations: Sequence[Tensor]) -> None:
        self._network = network
        self._perturbations = perturbations
        entries = 1 + max(layer.entry for layer in network.layers)
        self.shape = (entries, len(perturbations[0]))

    def of_chunk(
        self, images: Samples, labels: Samples, *, along: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Give both from the gradients by the layers' own outputs.

        Returns:
            Σ over images of Σ (∂ℓ/∂y)²·(Δy)², (entries, bits), and of each image Σ ∂ℓ/∂y·Δy,
            (images, entries, bits), or zeros where that is not wanted.
        """
        network = self._network
        hooked = not all(map(is_linear_map, network.modules))
        with ExitStack() as stack:
            given = stack.enter_context(watching(network.modules))
            fed = given
            if hooked:
                fed = stack.enter_context(watching(network.modules, around_hooks=True))
            loss = network.summed_loss(network.weights(), images, labels)
        gradients = gradients_by(loss, [call.output for calls in given for call in calls])
        weighted = torch.zeros(self.shape, dtype=torch.float64)
        products = torch.zeros(count(images), *self.shape, dtype=torch.float64)
        layers = zip(network.layers, network.modules, fed, self._perturbations, strict=True)
        with torch.no_grad():
            for layer, module, calls, moved in layers:
                for call in calls:
                    gradient = Products(gradients.pop(0))
                    changes = changed_call(network.network, module, call, moved).changes
                    for width, change in enumerate(changes):
                        squares, sums = gradient.sums(change)
                        weighted[layer.entry, width] += squares.sum().cpu()
                        if along:
                            products[:, layer.entry, width] += sums.cpu()
        return weighted, products

    def of_images(self, images: Samples, labels: Samples) -> Tensor:
        """Give ∇ℓ·ΔW of single images, (images, entries, bits), from the gradients by weights."""
        network = self._network
        weights = network.weights()
        pairs = zip(network.layers, self._perturbations, strict=True)
        moves = [(layer.entry, moved) for layer, moved in pairs if not layer.shares]
        products = torch.zeros(count(images), *self.shape, dtype=torch.float64)
        alone = zip(split(images, 1), split(labels, 1), strict=True)
        for place, (image, label) in enumerate(alone):
            loss = network.summed_loss(weights, image, label)
            gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
            for (entry, moved), gradient in zip(moves, gradients, strict=True):
                flat = gradient.reshape(-1).cpu().double()
                products[place, entry] += moved.flatten(1).double() @ flat
        return products
