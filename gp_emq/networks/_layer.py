"""What a layer is: one quantizable module of a network. No torch: plans are made without it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One quantizable module of a network.

    Attributes:
        name: path of the module within the network.
        kind: one of `KINDS`, such as `"Conv2d"`, `"Embedding"` or `"Linear"`; `"Projection"` is a
            linear one of `MultiheadAttention`, which has such modules in private copies alone.
        weight_shape: shape of its weight, with the output channels first; of an embedding its
            rows, each the vector of an index.
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
    def takes_indices(self) -> bool:
        """Whether it is fed indices of rows of its weight, which no grid can round."""
        return self.kind == "Embedding"

    @property
    def output_channels(self) -> int:
        """Channels of its output: numbers of a row where it gives rows of its weight."""
        return self.weight_shape[1 if self.takes_indices else 0]

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


def with_shared_embeddings(layers: Sequence[Layer], widths: Mapping[str, int]) -> dict[str, int]:
    """Give embeddings without a width that of the layers with the very same weight.

    Plans made before embeddings were layers say nothing of them; what reads the weight of a product
    has always read it as it was quantized.

    Args:
        layers: the layers of a network.
        widths: by name of the layer.

    Returns:
        The widths, with those of the embeddings.
    """
    of_weight: dict[str, int] = {}
    for layer in layers:
        if layer.name in widths:
            of_weight.setdefault(layer.shares or layer.name, widths[layer.name])
    return {**widths} | {
        layer.name: of_weight[layer.shares or layer.name]
        for layer in layers
        if layer.takes_indices
        and layer.name not in widths
        and (layer.shares or layer.name) in of_weight
    }
