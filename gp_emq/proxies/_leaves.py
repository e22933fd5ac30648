"""The statistics that trees have at their leaves, on the device where they are needed."""

import torch
from torch import Tensor

from gp_emq.proxies._graph import Vertex
from gp_emq.statistics import Layout, Statistics
from primitives import Activations, PrimitiveSet, Weights, WeightsPerBit


class Leaves:
    """Gives the values of terminals, whole or in part.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        device: Where values are wanted.
        memory: Upper bound of bytes up to which the perturbation is kept whole; beyond it is
            recomputed block by block.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        statistics: Statistics,
        *,
        device: torch.device,
        memory: int,
    ) -> None:
        self.statistics = statistics
        self.device = device
        self.dtype = statistics.dtype
        self.bits = len(statistics.bits)
        self._set = primitive_set
        self._memory = memory
        self._values: dict[str, Tensor] = {}
        self._layouts: dict[type, Layout] = {}

    def layout(self, kind: type) -> Layout:
        """Give where the layers lie in a flat buffer of `Weights` or `Activations`."""
        if kind not in self._layouts:
            self._layouts[kind] = self.statistics.layout(kind.__name__)
        return self._layouts[kind]

    def layout_of(self, vertex: Vertex) -> Layout:
        """Give the layout of a tensor vertex."""
        return self.layout(self._layout_kind(vertex.node.ret))

    def bytes_of(self, kind: type) -> int:
        """Give what a whole tensor of a type takes."""
        copies = self.bits if kind is WeightsPerBit else 1
        size = self.layout(self._layout_kind(kind)).size
        return size * copies * self.dtype.itemsize

    def whole(self, name: str) -> Tensor:
        """Give the value of a terminal; it is kept."""
        if name not in self._values:
            value = self._set.statistics[name].value(self.statistics)
            self._values[name] = value.to(self.device)
        return self._values[name]

    def block(self, vertex: Vertex, start: int, stop: int) -> Tensor:
        """Give the elements of a tensor leaf from a start to a stop."""
        name = vertex.node.name
        if vertex.node.ret is WeightsPerBit and self.bytes_of(WeightsPerBit) > self._memory:
            if name != "quantization_perturbation":
                return self._set.statistics[name].value(self.statistics)[..., start:stop]
            return self.statistics.perturbation(start, stop).to(self.device)
        return self.whole(name)[..., start:stop]

    def of_layer(self, vertex: Vertex, layer: int) -> Tensor:
        """Give a tensor leaf's elements of one layer, shaped as the layer is."""
        layout = self.layout_of(vertex)
        block = self.block(vertex, layout.offsets[layer], layout.offsets[layer + 1])
        return block.reshape(*block.shape[:-1], *layout.shapes[layer])

    @staticmethod
    def _layout_kind(kind: type) -> type:
        return Activations if kind is Activations else Weights
