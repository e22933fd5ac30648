"""The empirical Fisher diagonal from one backward pass per chunk."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.statistics._batch import Batch
from gp_emq.statistics._gradients import flatten
from gp_emq.statistics._hooks import Calls, watching
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
        shapes.append([tuple(call.shape) for record in records for call in record.outputs])
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
    outputs = [call for record in records for call in record.outputs]
    gradients = list(torch.autograd.grad(loss, outputs, materialize_grads=True))
    for module, record, squares in zip(network.modules, records, total, strict=True):
        own = [gradients.pop(0) for _ in record.outputs]
        with torch.no_grad():
            squares.add_(_squares(module, record, own).view_as(squares))


def _squares(module: nn.Module, record: Calls, gradients: list[Tensor]) -> Tensor:
    """Sum over images the squared gradient, which itself sums over a layer's calls."""
    factors = [
        _factors(module, value, gradient)
        for value, gradient in zip(record.inputs, gradients, strict=True)
    ]
    total: Tensor | None = None
    for image in range(len(gradients[0])):
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
