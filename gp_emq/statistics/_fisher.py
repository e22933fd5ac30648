"""The empirical Fisher diagonal from one backward pass per chunk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.errors import StatisticsError
from gp_emq.networks import Samples, gives_rows, split, watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten, gradients_by
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
    factors = {owner: _Factors() for owner in owners}
    with torch.no_grad():
        for owner, module, record in zip(owners, network.modules, records, strict=True):
            for call in record:
                factors[owner].add(module, call.input, gradients.pop(0).float())
        for layer, squares in zip(network.weight_layers, total, strict=True):
            found = factors[layer.name].squares(squares.shape)
            if found is not None:
                squares.add_(found.to(squares.device))


@dataclass
class _Factors:
    """What makes up the gradients by one weight, which may have several calls, for each image.

    Attributes:
        products: (n, groups, rows, positions) of the gradient, and of what it is multiplied by.
        looked_up: Indices (n, positions), and the gradient by the row that each gave.
    """

    products: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    looked_up: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def add(self, module: nn.Module, value: Tensor, gradient: Tensor) -> None:
        """Add a call of a layer, by what went in and the gradient by what came out."""
        if isinstance(module, nn.Embedding):
            rows = gradient.reshape(len(value), -1, gradient.shape[-1])
            self.looked_up.append((value.reshape(len(value), -1).long(), rows))
        else:
            self.products.append(_factors(module, value.float(), gradient))

    def squares(self, shape: torch.Size) -> Tensor | None:
        """Sum over images the squared gradient, which itself sums over all calls with the weight.

        Args:
            shape: Of the weight.

        Returns:
            The sums, of that shape; None where nothing called it.
        """
        size = shape[0]
        if not self.products:
            if not self.looked_up:
                return None
            places, rows = self._rows(size)
            return torch.zeros(shape).index_add_(0, places % size, rows.square_())
        looked_up = self._rows(size) if self.looked_up else None
        total: Tensor | None = None
        for image in range(len(self.products[0][0])):
            gradient = sum(
                torch.matmul(left[image], right[image].transpose(-1, -2))
                for left, right in self.products
            )
            assert isinstance(gradient, Tensor)  # noqa: S101
            if looked_up is not None:
                places, rows = looked_up
                here = places // size == image
                where = (places[here] % size).to(gradient.device)
                gradient.view(shape).index_add_(0, where, rows[here].to(gradient.device))
            total = gradient.square_() if total is None else total.addcmul_(gradient, gradient)
        assert total is not None  # noqa: S101
        return total.view(shape)

    def _rows(self, size: int) -> tuple[Tensor, Tensor]:
        """Add up the gradients by the rows of a table that each image looked up.

        On the CPU, where the order of a sum is always the same.

        Args:
            size: How many rows the table has.

        Returns:
            int64 (k,), `size` times the image plus the row, each once; and float32 (k, numbers).
        """
        indices = torch.cat([index for index, _ in self.looked_up], dim=1).cpu()
        rows = torch.cat([row for _, row in self.looked_up], dim=1).cpu()
        keys = indices + size * torch.arange(len(indices))[:, None]
        places, inverse = torch.unique(keys, return_inverse=True)
        sums = torch.zeros(len(places), rows.shape[-1])
        return places, sums.index_add_(0, inverse.reshape(-1), rows.flatten(0, 1))


def _factors(module: nn.Module, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Bring input and output gradient to (n, groups, rows, positions) each."""
    count = len(value)
    if not isinstance(module, nn.Conv2d):
        left = gradient.reshape(count, 1, -1, gradient.shape[-1]).transpose(-1, -2)
        return left, value.reshape(count, 1, -1, value.shape[-1]).transpose(-1, -2)
    padding = module._reversed_padding_repeated_twice
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    columns = functional.unfold(
        functional.pad(value, padding, mode=mode),
        kernel_size=module.kernel_size,
        dilation=module.dilation,
        stride=module.stride,
    )
    right = columns.view(count, module.groups, -1, columns.shape[-1])
    return gradient.reshape(count, module.groups, -1, right.shape[-1]), right
