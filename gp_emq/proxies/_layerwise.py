"""Operators that need a whole layer: evaluated layer by layer, freed as soon as used."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gp_emq.proxies._graph import Vertex
from gp_emq.proxies._kernels import computed
from gp_emq.proxies._streaming import ReductionSink
from gp_emq.statistics import Layout
from primitives import NUMBER_TYPES, PER_BIT_TYPES, TENSOR_TYPES, Role, as_rows
from primitives._affine import CHUNK
from primitives._workspace import Workspace

LayerLeaf = Callable[[Vertex, int], Tensor]
"""Gives a leaf's tensor of one layer: shaped as the layer, with a leading bit axis if it has."""


class Layerwise:
    """Feeds reductions whose arguments hold softmax, Gram matrices and the like.

    Args:
        vertices: All vertices that the sinks need, arguments first, sinks left out.
        sinks: The reductions.
        layer_leaf: Where leaves come from.
        workspace: Scratch.
    """

    def __init__(
        self,
        vertices: Sequence[Vertex],
        sinks: Sequence[ReductionSink],
        layer_leaf: LayerLeaf,
        workspace: Workspace,
    ) -> None:
        self._workspace = workspace
        self._vertices = vertices
        self._layer_leaf = layer_leaf
        self._exponents = {
            vertex.identifier: float(vertex.node.name)
            for vertex in vertices
            if vertex.node.ret in NUMBER_TYPES
        }
        place = {vertex.identifier: index for index, vertex in enumerate(vertices)}
        self._sinks_at: dict[int, list[ReductionSink]] = {}
        last_use = dict.fromkeys(place, 0)
        for index, vertex in enumerate(vertices):
            for argument in vertex.arguments:
                last_use[argument] = index
        for sink in sinks:
            ready = max(place[argument] for argument in sink.vertex.arguments)
            self._sinks_at.setdefault(ready, []).append(sink)
            for argument in sink.vertex.arguments:
                last_use[argument] = max(last_use[argument], ready)
        self._freed_at: dict[int, list[int]] = {}
        for number, index in last_use.items():
            self._freed_at.setdefault(index, []).append(number)

    def run(self, layout: Layout) -> None:
        """Feed every sink with all layers, in order."""
        for layer, entry in enumerate(layout.entries):
            values: dict[int, Tensor] = {}
            for index, vertex in enumerate(self._vertices):
                if vertex.node.ret not in NUMBER_TYPES:
                    values[vertex.identifier] = self._value(vertex, layer, values)
                for sink in self._sinks_at.get(index, ()):
                    _feed(sink, entry, values)
                for number in self._freed_at.get(index, ()):
                    values.pop(number, None)

    def _value(self, vertex: Vertex, layer: int, values: dict[int, Tensor]) -> Tensor:
        overload = vertex.overload
        if overload is None:
            return self._layer_leaf(vertex, layer)
        function, kind = overload.operator.function, overload.operator.kind
        arguments = [
            self._exponents[number] if argument in NUMBER_TYPES else values[number]
            for number, argument in zip(vertex.arguments, overload.arguments, strict=True)
        ]
        if kind is Role.ELEMENTWISE:
            return computed(overload.operator, *arguments)
        affine = overload.operator.affine
        if affine is not None and vertex.node.ret in TENSOR_TYPES:
            per_bit = vertex.node.ret in PER_BIT_TYPES
            return affine.of_layer(_tensor(arguments[0]), self._workspace, per_bit=per_bit)
        if kind is Role.NORMALISER and vertex.node.ret in PER_BIT_TYPES:
            return torch.stack([function(row) for row in _tensor(arguments[0])])
        if kind is Role.MATRIX:
            return function(*(as_rows(_tensor(argument)) for argument in arguments))
        return function(*arguments)


def _feed(sink: ReductionSink, entry: int, values: dict[int, Tensor]) -> None:
    overload = sink.vertex.overload
    assert overload is not None  # noqa: S101 - sinks are operators
    pieces = [values[argument] for argument in sink.vertex.arguments]
    if overload.operator.kind is Role.MATRIX_REDUCTION:
        sink.accumulator.take(entry, [overload.operator.function(pieces[0]).reshape(1)])
        return
    flat = [
        piece.flatten(1) if kind in PER_BIT_TYPES else piece.reshape(-1)
        for piece, kind in zip(pieces, overload.arguments, strict=True)
    ]
    for start in range(0, flat[0].shape[-1], CHUNK):
        sink.accumulator.take(entry, [piece[..., start : start + CHUNK] for piece in flat])


def _tensor(value: Tensor | float) -> Tensor:
    assert isinstance(value, Tensor)  # noqa: S101 - only power takes a number
    return value
