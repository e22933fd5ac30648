"""The statistics that trees have at their leaves, on the device where they are needed."""

import torch
from torch import Tensor

from gp_emq.errors import OperatorError
from gp_emq.proxies._graph import Vertex
from gp_emq.proxies._window import as_part
from gp_emq.statistics import Layout, Statistics
from primitives import (
    PER_BIT_TYPES,
    Activations,
    ActivationsPerBit,
    BitTable,
    LayerVector,
    PrimitiveSet,
    Weights,
    WeightsPerBit,
    is_guarded,
)


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
        copies = self.bits if kind in PER_BIT_TYPES else 1
        size = self.layout(self._layout_kind(kind)).size
        return size * copies * self.dtype.itemsize

    def whole(self, name: str) -> Tensor:
        """Give the value of a terminal; it is kept."""
        if name not in self._values:
            self._values[name] = self._computed(name).to(self.device)
        return self._values[name]

    def block(self, vertex: Vertex, start: int, stop: int) -> Tensor:
        """Give the elements of a tensor leaf from a start to a stop."""
        name = vertex.node.name
        if vertex.node.ret is WeightsPerBit and self.bytes_of(WeightsPerBit) > self._memory:
            if name != "quantization_perturbation":
                return self._computed(name)[..., start:stop].to(self.device)
            block = self.statistics.perturbation(start, stop).to(self.device)
            return as_part([block], self.layout(Weights).size)
        return self.whole(name)[..., start:stop]

    def of_layer(self, vertex: Vertex, layer: int) -> Tensor:
        """Give a tensor leaf's elements of one layer, shaped as the layer is."""
        layout = self.layout_of(vertex)
        block = self.block(vertex, layout.offsets[layer], layout.offsets[layer + 1])
        return block.reshape(*block.shape[:-1], *layout.shapes[layer])

    def _computed(self, name: str) -> Tensor:
        """Compute a terminal, and look at what it gives where it is a user's own.

        Raises:
            OperatorError: It is a tensor of another shape or type than its type has.
        """
        terminal = self._set.statistics[name]
        value = terminal.value(self.statistics)
        if is_guarded(terminal):
            shape, dtype = self._geometry(terminal.type)
            if tuple(value.shape) != shape:
                given = f"{tuple(value.shape)}, not {shape}"
                raise OperatorError(name, "gives a wrong shape", given)
            if value.dtype != dtype:
                raise OperatorError(name, "gives a wrong type", f"{value.dtype}, not {dtype}")
        return value

    def _geometry(self, kind: type) -> tuple[tuple[int, ...], torch.dtype]:
        """Give shape and type of a terminal's value."""
        if kind in (LayerVector, BitTable):
            entries = self.layout(Weights).entry_count
            shape = (entries, self.bits) if kind is BitTable else (entries,)
            return shape, torch.float64
        size = self.layout(self._layout_kind(kind)).size
        return ((self.bits, size) if kind in PER_BIT_TYPES else (size,)), self.dtype

    @staticmethod
    def _layout_kind(kind: type) -> type:
        return Activations if kind in (Activations, ActivationsPerBit) else Weights
