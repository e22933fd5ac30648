"""Normalisers that shift and scale a whole layer: two numbers per layer, then element by element.

Once a first pass over the data has found the two numbers, a second one needs no more of the layer
than the block at hand, so that nothing is kept but the numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from primitives._accumulators import Accumulator, MakeAccumulator
from primitives._workspace import Workspace

CHUNK = 32768
"""Elements of a layer that a reduction is fed with at a time: few enough for the cache."""


@dataclass(frozen=True)
class AffineNormaliser:
    """``(x − shift) / scale``, by layer and, where there is a bit axis, by width.

    Attributes:
        first: Makes the reduction over a layer that is the shift.
        second: Makes another.
        scale: Gives the scale from the two.
    """

    first: MakeAccumulator
    second: MakeAccumulator
    scale: Callable[[Tensor, Tensor], Tensor]

    def accumulators(
        self, shape: tuple[int, ...], device: torch.device, workspace: Workspace
    ) -> tuple[Accumulator, Accumulator]:
        """Make what reduces each layer, ``(layers,)`` or ``(layers, bits)``."""
        return self.first(shape, device, workspace), self.second(shape, device, workspace)

    def parameters(self, accumulators: Sequence[Accumulator]) -> Tensor:
        """Give shift and scale, float64 (2, layers) or (2, layers, bits)."""
        first, second = (accumulator.result() for accumulator in accumulators)
        return torch.stack([first, self.scale(first, second)])

    def of_layer(self, x: Tensor, workspace: Workspace, *, per_bit: bool) -> Tensor:
        """Normalise the tensor of one layer, where it is at hand as a whole.

        Args:
            x: Shaped as the layer, with a leading bit axis if it has one.
            workspace: Scratch.
            per_bit: Whether it has.
        """
        flat = x.flatten(1) if per_bit else x.reshape(-1)
        shape = (1, len(x)) if per_bit else (1,)
        accumulators = self.accumulators(shape, x.device, workspace)
        for piece in torch.split(flat, CHUNK, dim=-1):
            for accumulator in accumulators:
                accumulator.take(0, [piece])
        kernel = AffineKernel(self.parameters(accumulators), x.dtype)
        return kernel(flat, 0, (0,), out=torch.empty_like(flat)).view(x.shape)


class AffineKernel:
    """Applies an affine normaliser whose parameters are known.

    Args:
        parameters: (2, layers) or (2, layers, bits).
        dtype: Type of the elements.
    """

    def __init__(self, parameters: Tensor, dtype: torch.dtype) -> None:
        values = parameters.to(dtype)
        if values.dim() == 3:
            values = values.unsqueeze(-1)
        self._shifts, self._scales = (part.unbind(0) for part in values)

    def __call__(self, x: Tensor, first: int, starts: Sequence[int], *, out: Tensor) -> Tensor:
        """Normalise a block.

        Args:
            x: (elements,) or (bits, elements).
            first: The first layer of the block.
            starts: Where each layer starts in the block.
            out: Shaped as ``x``.
        """
        for offset, (start, stop) in enumerate(pairwise((*starts, x.shape[-1]))):
            layer = first + offset
            piece = torch.sub(x[..., start:stop], self._shifts[layer], out=out[..., start:stop])
            piece.div_(self._scales[layer])
        return out
