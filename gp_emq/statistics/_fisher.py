"""The empirical Fisher diagonal from one backward pass per chunk."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.networks import watching
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten
from gp_emq.statistics._network import FunctionalNetwork


def fisher_diagonal(network: FunctionalNetwork, batch: Batch) -> Tensor:
    """Average the squared gradients of the single images' cross-entropies.

    A layer's gradient for one image is the product of what went in and of the gradient
    by what came out, so that one backward pass serves a whole chunk. Networks with layers
    that are more than a plain convolution or product, or whose first axis is not the
    image, are differentiated image by image instead.

    Returns:
        float32 (N,).
    """
    weights = network.weights()
    total = [torch.zeros_like(value) for value in weights]
    by_image = _is_plain(network, batch)
    for images, labels in batch.chunks():
        if by_image:
            _add_chunk(network, weights, images, labels, total)
        else:
            for image, label in zip(torch.split(images, 1), torch.split(labels, 1), strict=True):
                loss = network.summed_loss(weights, image, label)
                gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
                for squares, gradient in zip(total, gradients, strict=True):
                    squares.addcmul_(gradient, gradient)
    return flatten(total) / len(batch)


def _is_plain(network: FunctionalNetwork, batch: Batch) -> bool:
    """Tell whether every layer is a plain operator whose first axis counts images."""
    for module in network.modules:
        if isinstance(module, nn.Conv2d):
            own = type(module).forward is nn.Conv2d.forward
            plain = own and type(module)._conv_forward is nn.Conv2d._conv_forward
        else:
            plain = type(module).forward is nn.Linear.forward
        if not plain:
            return False
    shapes = []
    for count in (2, 3):
        with torch.no_grad(), watching(network.modules) as records:
            network.logits(network.weights(), batch.images[:1].expand(count, -1, -1, -1))
        shapes.append([tuple(call.output.shape) for record in records for call in record])
    return all(
        two == (2, *two[1:]) and three == (3, *two[1:]) for two, three in zip(*shapes, strict=True)
    )


def _add_chunk(
    network: FunctionalNetwork,
    weights: list[Tensor],
    images: Tensor,
    labels: Tensor,
    total: list[Tensor],
) -> None:
    """Add the squared per-image gradients of one chunk to `total`, in place."""
    with watching(network.modules) as records:
        loss = network.summed_loss(weights, images, labels)
    outputs = [call.output for record in records for call in record]
    gradients = list(torch.autograd.grad(loss, outputs, materialize_grads=True))
    owners = [layer.shares or layer.name for layer in network.layers]
    factors: dict[str, list[tuple[Tensor, Tensor]]] = {owner: [] for owner in owners}
    with torch.no_grad():
        for owner, module, record in zip(owners, network.modules, records, strict=True):
            for call in record:
                factors[owner].append(_factors(module, call.input, gradients.pop(0)))
        for layer, squares in zip(network.weight_layers, total, strict=True):
            squares.add_(_squares(factors[layer.name]).view_as(squares))


def _squares(factors: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Sum over images the squared gradient, which itself sums over all calls with a weight."""
    total: Tensor | None = None
    for image in range(len(factors[0][0])):
        gradient = sum(
            torch.matmul(left[image], right[image].transpose(-1, -2)) for left, right in factors
        )
        assert isinstance(gradient, Tensor)  # noqa: S101
        total = gradient.square_() if total is None else total.addcmul_(gradient, gradient)
    assert total is not None  # noqa: S101
    return total


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
