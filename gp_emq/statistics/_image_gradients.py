"""The gradients of single images by a layer's weight, from what went in and what came out."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

_OfImage = Callable[[int], Tensor]


@dataclass
class ImageGradients:
    """What makes up the gradients by one weight, which may have several calls, for each image.

    Attributes:
        products: Of each call, what gives the gradient of an image by its place.
        looked_up: Indices (n, positions), and the gradient by the row that each gave.
        images: How many there are.
    """

    products: list[_OfImage] = field(default_factory=list)
    looked_up: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    images: int = 0

    def add(self, module: nn.Module, value: Tensor, gradient: Tensor) -> None:
        """Add a call of a layer, by what went in and the gradient by what came out."""
        self.images = len(value)
        if isinstance(module, nn.Embedding):
            rows = gradient.reshape(len(value), -1, gradient.shape[-1])
            self.looked_up.append((value.reshape(len(value), -1).long(), rows))
        else:
            self.products.append(_of_image(module, value.float(), gradient))

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
        for image in range(self.images):
            parts = (of_image(image).view(shape) for of_image in self.products)
            gradient = reduce(torch.add, parts)
            if looked_up is not None:
                places, rows = looked_up
                here = places // size == image
                where = (places[here] % size).to(gradient.device)
                gradient.index_add_(0, where, rows[here].to(gradient.device))
            total = gradient.square_() if total is None else total.addcmul_(gradient, gradient)
        return total

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


def _of_image(module: nn.Module, value: Tensor, gradient: Tensor) -> _OfImage:
    """Say how the gradient by a layer's weight is had for one image, (out, ...).

    The convolution of single channels is derived as torch derives it, which needs no columns: they
    are many times what is multiplied with them.
    """
    if (
        isinstance(module, nn.Conv2d)
        and module.weight.shape[1] == 1
        and _zeros_around(module) is not None
    ):
        return partial(_of_single_channels, module, value, gradient)
    return partial(_of_product, *_factors(module, value, gradient))


def _of_single_channels(module: nn.Conv2d, value: Tensor, gradient: Tensor, image: int) -> Tensor:
    here = slice(image, image + 1)
    found: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        value[here],
        module.weight.shape,
        gradient[here],
        module.stride,
        module.padding,
        module.dilation,
        module.groups,
    )
    return found


def _of_product(left: Tensor, right: Tensor, image: int) -> Tensor:
    return torch.matmul(left[image], right[image].transpose(-1, -2))


def _zeros_around(module: nn.Conv2d) -> tuple[int, ...] | None:
    """Return with how many zeros a convolution pads on both sides; None if it pads otherwise."""
    padding = module.padding
    return None if module.padding_mode != "zeros" or isinstance(padding, str) else padding


def _factors(module: nn.Module, value: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Bring input and output gradient to (n, groups, rows, positions) each."""
    count = len(value)
    if not isinstance(module, nn.Conv2d):
        left = gradient.reshape(count, 1, -1, gradient.shape[-1]).transpose(-1, -2)
        return left, value.reshape(count, 1, -1, value.shape[-1]).transpose(-1, -2)
    columns = _columns(module, value)
    right = columns.view(count, module.groups, -1, columns.shape[-1])
    return gradient.reshape(count, module.groups, -1, right.shape[-1]), right


def _columns(module: nn.Conv2d, value: Tensor) -> Tensor:
    """Lay what each position of a convolution is made of into a column, (n, rows, positions)."""
    padding = _zeros_around(module)
    if (module.kernel_size, module.stride, padding) == ((1, 1), (1, 1), (0, 0)):
        return value.flatten(2)
    if padding is None:
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        value = functional.pad(value, module._reversed_padding_repeated_twice, mode=mode)
    return functional.unfold(
        value,
        kernel_size=module.kernel_size,
        dilation=module.dilation,
        padding=padding or 0,
        stride=module.stride,
    )
