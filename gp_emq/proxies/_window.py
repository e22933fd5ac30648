"""Tensors that are computed a few layers at a time, where the memory does not hold them whole."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gp_emq.statistics import Layout


class Window:
    """The layers of a tensor that the block at hand lies in.

    Args:
        layout: Where all layers lie.
        compute: Gives neighbouring layers, (elements,) or (bits, elements).
    """

    def __init__(self, layout: Layout, compute: Callable[[range], Tensor]) -> None:
        self._offsets, self._compute = layout.offsets, compute
        self._layers: dict[int, Tensor] = {}

    def block(self, start: int, stop: int) -> Tensor:
        """Give the elements from a start to a stop; layers outside of them are forgotten."""
        offsets = self._offsets
        layers = range(bisect_right(offsets, start) - 1, bisect_left(offsets, stop))
        self._layers = {layer: x for layer, x in self._layers.items() if layer in layers}
        missing = [layer for layer in layers if layer not in self._layers]
        if missing:
            together = range(missing[0], missing[-1] + 1)
            sizes = [offsets[layer + 1] - offsets[layer] for layer in together]
            parts = torch.split(self._compute(together), sizes, dim=-1)
            self._layers.update(zip(together, parts, strict=True))
        pieces = [
            self._layers[layer][..., max(start - offsets[layer], 0) : stop - offsets[layer]]
            for layer in layers
        ]
        return as_part(pieces, offsets[-1])


def as_part(pieces: Sequence[Tensor], size: int) -> Tensor:
    """Join pieces so that their rows lie apart, as they do in a part of a whole tensor.

    The last digits of what is made of them are then the same: where rows follow each other without
    a gap they are computed together.

    Args:
        pieces: (elements,) or (bits, elements) each.
        size: Elements of the whole.
    """
    length = sum(piece.shape[-1] for piece in pieces)
    room = pieces[0].new_empty((*pieces[0].shape[:-1], length + (length < size)))
    return torch.cat(list(pieces), dim=-1, out=room[..., :length])
