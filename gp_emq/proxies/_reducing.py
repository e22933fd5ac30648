"""All reductions of tensors that a graph asks for, in as few passes over the data as they need."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gp_emq.proxies._cache import ByteCache
from gp_emq.proxies._graph import Graph, Vertex
from gp_emq.proxies._layerwise import Layerwise
from gp_emq.proxies._leaves import Leaves
from gp_emq.proxies._streaming import ReductionSink, Sink, StoreSink, Stream
from gp_emq.proxies._window import Window
from gp_emq.statistics import Layout
from primitives import PER_BIT_TYPES, Activations, BitTable, Role, Weights, _terms
from primitives._accumulators import Accumulator, Collected, sums
from primitives._affine import AffineKernel, AffineNormaliser
from primitives._workspace import Workspace

_Group = tuple[int, bool, bool]
"""Rank, whether over activations, and whether by width: what streams together."""


@dataclass(frozen=True)
class _Run:
    """What passes over the data share.

    Attributes:
        graph: The trees.
        normalised: By vertex, a normalised tensor, whole or as a window.
        parameters: By vertex, the two numbers of each layer of an affine normaliser.
    """

    graph: Graph
    normalised: dict[int, Tensor | Window]
    parameters: dict[int, Tensor]


class Reducer:
    """Computes the reductions of a graph.

    What is made of elementwise operators streams: a pass feeds every reduction whose arguments
    are ready. Affine normalisers need a pass before, for two numbers of each layer; normalisers
    that look at a layer's elements together are kept whole while the memory holds them, else
    computed again a few layers at a time, to the same digits. What stands above matrices goes layer
    by layer.

    Args:
        leaves: The statistics.
        cache: Where the numbers of affine normalisers are kept.
        memory: Upper bound of bytes of normalised tensors that are kept whole.
    """

    def __init__(self, leaves: Leaves, cache: ByteCache, memory: int) -> None:
        self._leaves = leaves
        self._cache = cache
        self._memory = memory
        self._tensors = ByteCache(memory)
        self._workspace = Workspace()

    def reductions(self, graph: Graph) -> dict[int, Tensor]:
        """Compute every reduction of tensors.

        Args:
            graph: The trees.

        Returns:
            By number of the vertex, float64 (entries,) or (entries, bits).
        """
        sinks = [
            ReductionSink(vertex, self._accumulator(vertex))
            for vertex in graph.vertices
            if vertex.overload is not None
            and vertex.overload.operator.kind in (Role.REDUCTION, Role.MATRIX_REDUCTION)
        ]
        streamed: list[ReductionSink] = []
        layerwise: dict[bool, list[ReductionSink]] = {}
        for sink in sinks:
            if all(graph.vertices[number].streams for number in sink.vertex.arguments):
                streamed.append(sink)
            else:
                layerwise.setdefault(sink.vertex.in_activations, []).append(sink)
        self._stream(graph, streamed)
        for in_activations, together in layerwise.items():
            vertices = graph.below([sink.vertex for sink in together])
            layout = self._leaves.layout(Activations if in_activations else Weights)
            Layerwise(vertices, together, self._leaves.of_layer, self._workspace).run(layout)
        return {sink.vertex.identifier: sink.accumulator.result() for sink in sinks}

    def _stream(self, graph: Graph, sinks: Sequence[ReductionSink]) -> None:
        parameters: dict[int, Tensor] = {}
        finders: dict[int, tuple[ReductionSink, ReductionSink]] = {}
        for vertex in graph.below([sink.vertex for sink in sinks]):
            if vertex.affine:
                known = self._cache.get(_parameters_of(vertex))
                if known is None:
                    finders[vertex.identifier] = self._finders(vertex)
                else:
                    parameters[vertex.identifier] = known
        groups: dict[_Group, list[ReductionSink]] = {}
        for sink in sinks:
            vertex = sink.vertex
            group = (vertex.rank, vertex.in_activations, vertex.per_bit)
            groups.setdefault(group, []).append(sink)
        for pair in finders.values():
            vertex = pair[0].vertex
            group = (vertex.rank - 1, vertex.in_activations, vertex.per_bit)
            groups.setdefault(group, []).extend(pair)
        for group in sorted(groups):
            for batch in self._batches(graph, groups[group]):
                self._run(graph, batch, parameters)
            found = [number for number, pair in finders.items() if pair[0] in groups[group]]
            for number in found:
                vertex = graph.vertices[number]
                normaliser = _affine_of(vertex)
                value = normaliser.parameters([sink.accumulator for sink in finders.pop(number)])
                parameters[number] = value
                self._cache.put(_parameters_of(vertex), value)

    def _finders(self, vertex: Vertex) -> tuple[ReductionSink, ReductionSink]:
        """Make what finds the two numbers of each layer that an affine normaliser needs."""
        layers = len(self._leaves.layout_of(vertex).shapes)
        shape = (layers, self._leaves.bits) if vertex.per_bit else (layers,)
        first, second = _affine_of(vertex).accumulators(shape, self._leaves.device, self._workspace)
        return (
            ReductionSink(vertex, first, by_layer=True),
            ReductionSink(vertex, second, by_layer=True),
        )

    def _is_kept(self, vertex: Vertex) -> bool:
        """Say whether a vertex is a normalised tensor that may be kept whole."""
        return vertex.by_layer and self._bytes(vertex) <= self._memory // 4

    def _bytes(self, vertex: Vertex) -> int:
        return self._leaves.bytes_of(vertex.node.ret)

    def _batches(
        self, graph: Graph, sinks: Sequence[ReductionSink]
    ) -> Iterator[list[ReductionSink]]:
        """Cut sinks into batches whose kept tensors fit the memory together."""
        batch: list[ReductionSink] = []
        kept: dict[int, int] = {}
        for sink in sinks:
            needs = {
                vertex.identifier: self._bytes(vertex)
                for vertex in graph.below([sink.vertex])
                if self._is_kept(vertex)
            }
            if batch and sum((kept | needs).values()) > self._memory:
                yield batch
                batch, kept = [], {}
            batch.append(sink)
            kept |= needs
        if batch:
            yield batch

    def _run(self, graph: Graph, sinks: Sequence[Sink], parameters: dict[int, Tensor]) -> None:
        """Stream all elements to some sinks, after what they need of whole layers."""
        normalised: dict[int, Tensor | Window] = {}
        run = _Run(graph, normalised, parameters)
        for vertex in graph.below([sink.vertex for sink in sinks]):
            if self._is_kept(vertex):
                normalised[vertex.identifier] = self._whole(run, vertex)
            elif vertex.by_layer:
                normalised[vertex.identifier] = Window(
                    self._leaves.layout_of(vertex), partial(self._layers, run, vertex)
                )
        self._pass(run, sinks)

    def _pass(
        self, run: "_Run", sinks: Sequence[Sink], start: int = 0, stop: int | None = None
    ) -> None:
        """Stream elements, by default all, through the vertices below some sinks."""
        vertex = sinks[0].vertex
        layout = self._leaves.layout(Activations if vertex.in_activations else Weights)

        def leaf_block(vertex: Vertex, start: int, stop: int) -> Tensor:
            values = run.normalised.get(vertex.identifier)
            if values is None:
                return self._leaves.block(vertex, start, stop)
            return (
                values.block(start, stop) if isinstance(values, Window) else values[..., start:stop]
            )

        Stream(
            run.graph.below([sink.vertex for sink in sinks], stop_at_layers=True),
            sinks,
            leaf_block=leaf_block,
            affine=lambda vertex: AffineKernel(
                run.parameters[vertex.identifier], self._leaves.dtype
            ),
            bits=self._leaves.bits,
            dtype=self._leaves.dtype,
            device=self._leaves.device,
        ).run(layout, start, stop)

    def _whole(self, run: "_Run", vertex: Vertex) -> Tensor:
        """Give a normalised tensor whole, computed once for as long as the memory holds it."""
        assert vertex.key is not None  # noqa: S101 - operators have their text
        known = self._tensors.get(vertex.key)
        if known is not None:
            return known
        layout = self._leaves.layout_of(vertex)
        out = self._buffer(vertex, layout, run.normalised)
        self._normalise(run, vertex, range(len(layout.shapes)), out)
        self._tensors.put(vertex.key, out)
        return out

    def _layers(self, run: "_Run", vertex: Vertex, layers: range) -> Tensor:
        """Give neighbouring layers of a normalised tensor, (elements,) or (bits, elements)."""
        offsets = self._leaves.layout_of(vertex).offsets
        out = self._empty(vertex, offsets[layers.stop] - offsets[layers.start])
        self._normalise(run, vertex, layers, out)
        return out

    def _normalise(self, run: "_Run", vertex: Vertex, layers: range, out: Tensor) -> None:
        """Compute neighbouring layers of a normalised tensor into memory of their size."""
        assert vertex.overload is not None  # noqa: S101 - normalisers are operators
        function, layout = vertex.overload.operator.function, self._leaves.layout_of(vertex)
        start, stop = layout.offsets[layers.start], layout.offsets[layers.stop]
        self._pass(run, [StoreSink(vertex, out, start)], start, stop)
        for layer in layers:
            here = slice(layout.offsets[layer] - start, layout.offsets[layer + 1] - start)
            for row in out if vertex.node.ret in PER_BIT_TYPES else (out,):
                tensor = row[here].view(layout.shapes[layer])
                tensor.copy_(function(tensor))

    def _buffer(
        self, vertex: Vertex, layout: Layout, normalised: Mapping[int, Tensor | Window]
    ) -> Tensor:
        """Make room for a tensor, in the memory of one that leaves if there is one."""
        per_bit = vertex.node.ret in PER_BIT_TYPES
        shape = (self._leaves.bits, layout.size) if per_bit else (layout.size,)
        in_use = {id(values) for values in normalised.values()}
        for tensor in self._tensors.make_room(self._bytes(vertex)):
            if tensor.shape == shape and id(tensor) not in in_use:
                return tensor
        return self._empty(vertex, layout.size)

    def _empty(self, vertex: Vertex, length: int) -> Tensor:
        shape = (self._leaves.bits, length) if vertex.node.ret in PER_BIT_TYPES else (length,)
        return torch.empty(shape, dtype=self._leaves.dtype, device=self._leaves.device)

    def _accumulator(self, vertex: Vertex) -> Accumulator:
        entries = self._leaves.layout(Weights).entry_count
        overload = vertex.overload
        assert overload is not None  # noqa: S101 - reductions are operators
        operator = overload.operator
        make = operator.accumulator or partial(Collected, function=operator.function)
        if operator.kind is Role.MATRIX_REDUCTION:
            make = sums(_terms.itself, _terms.plain)
        per_bit = overload.result is BitTable
        shape = (entries, self._leaves.bits) if per_bit else (entries,)
        return make(shape, self._leaves.device, self._workspace)


def _affine_of(vertex: Vertex) -> AffineNormaliser:
    assert vertex.overload is not None  # noqa: S101 - normalisers are operators
    assert vertex.overload.operator.affine is not None  # noqa: S101 - affine ones at that
    return vertex.overload.operator.affine


def _parameters_of(vertex: Vertex) -> str:
    """Name the two numbers of each layer; no subtree is called so, since operators come first."""
    return f"parameters of {vertex.key}"
