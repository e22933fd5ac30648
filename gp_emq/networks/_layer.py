"""What a layer is: one quantizable module of a network. No torch: plans are made without it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One quantizable module of a network.

    Attributes:
        name: path of the module within the network.
        kind: one of `KINDS`, such as `"Conv2d"`, `"ConvTranspose1d"` or `"Linear"`; `"Projection"`
            is a linear one of `MultiheadAttention`, which has such modules in private copies alone.
        weight_shape: shape of its weight, with the output channels first.
        parameters: elements of its weight and, where it has one, its bias; those that are an
            earlier layer's parameters too are counted there.
        batch_norm_channels: channels of the batch norms that take its output, else 0; a norm that
            takes the outputs of several layers belongs to the first.
        macs: multiply-accumulate operations for one image, on average where images differ.
        depth: 0-based place in forward order.
        entry: index of the bit entry that decides its width.
        shares: name of the first layer whose weight is the very same parameter; empty where
            the weight is its own.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    parameters: int
    batch_norm_channels: int
    macs: int
    depth: int
    entry: int
    shares: str = ""

    @property
    def is_convolution(self) -> bool:
        """Whether channels are the axis of its output before those that its kernel moves along."""
        return self.kind.startswith("Conv") and self.kind != "Conv1D"

    @property
    def own_weights(self) -> int:
        """Elements of its weight, none where the weight is counted with another layer."""
        return 0 if self.shares else math.prod(self.weight_shape)


def entry_layers(layers: Sequence[Layer]) -> tuple[tuple[int, ...], ...]:
    """Return the layer indices of each bit entry.

    Args:
        layers: the layers of a network in forward order.

    Returns:
        For each entry, the ascending indices into `layers` that it decides.
    """
    count = 1 + max(layer.entry for layer in layers)
    return tuple(
        tuple(index for index, layer in enumerate(layers) if layer.entry == entry)
        for entry in range(count)
    )


def weight_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers whose weight is their own: one for each distinct weight, in order."""
    return tuple(layer for layer in layers if not layer.shares)
