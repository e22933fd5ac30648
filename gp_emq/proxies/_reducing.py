"""All reductions of tensors that a graph asks for, in as few passes over the data as they need."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from gp_emq.proxies._accumulators import Accumulator, make_accumulator
from gp_emq.proxies._affine import AFFINE_NORMALISERS, AffineKernel
from gp_emq.proxies._cache import ByteCache
from gp_emq.proxies._graph import Graph, Vertex
from gp_emq.proxies._layerwise import Layerwise
from gp_emq.proxies._leaves import Leaves
from gp_emq.proxies._streaming import ReductionSink, Sink, StoreSink, Stream
from gp_emq.proxies._workspace import Workspace
from gp_emq.statistics import Layout
from primitives import Activations, BitTable, Kind, Weights, WeightsPerBit

_Group = tuple[int, bool, bool]
"""Rank, whether over activations, and whether by width: what streams together."""


class Reducer:
    """Computes the reductions of a graph.

    What is made of elementwise operators streams: a pass feeds every reduction whose arguments
    are ready. Affine normalisers need a pass before, for two numbers of each layer; normalisers
    that look at a layer's elements together are kept whole while the memory holds them. The
    rest, above matrices, goes layer by layer.

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

    def may_keep(self, kind: type) -> bool:
        """Say whether a normalised tensor of a type may be kept whole."""
        return self._leaves.bytes_of(kind) <= self._memory // 4

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
            and vertex.overload.operator.kind in (Kind.REDUCTION, Kind.MATRIX_REDUCTION)
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
                normaliser = AFFINE_NORMALISERS[_operator_name(vertex)]
                value = normaliser.parameters([sink.accumulator for sink in finders.pop(number)])
                parameters[number] = value
                self._cache.put(_parameters_of(vertex), value)

    def _finders(self, vertex: Vertex) -> tuple[ReductionSink, ReductionSink]:
        """Make what finds the two numbers of each layer that an affine normaliser needs."""
        layers = len(self._leaves.layout_of(vertex).shapes)
        shape = (layers, self._leaves.bits) if vertex.per_bit else (layers,)
        first, second = AFFINE_NORMALISERS[_operator_name(vertex)].accumulators(
            shape, self._leaves.device, self._workspace
        )
        return (
            ReductionSink(vertex, first, by_layer=True),
            ReductionSink(vertex, second, by_layer=True),
        )

    def _batches(
        self, graph: Graph, sinks: Sequence[ReductionSink]
    ) -> Iterator[list[ReductionSink]]:
        """Cut sinks into batches whose kept tensors fit the memory together."""
        batch: list[ReductionSink] = []
        kept: set[int] = set()
        for sink in sinks:
            needs = {v.identifier for v in graph.below([sink.vertex]) if v.kept}
            if batch and self._bytes(graph, kept | needs) > self._memory:
                yield batch
                batch, kept = [], set()
            batch.append(sink)
            kept |= needs
        if batch:
            yield batch

    def _bytes(self, graph: Graph, numbers: set[int]) -> int:
        return sum(self._leaves.bytes_of(graph.vertices[number].node.ret) for number in numbers)

    def _run(self, graph: Graph, sinks: Sequence[Sink], parameters: dict[int, Tensor]) -> None:
        tops = [sink.vertex for sink in sinks]
        kept: dict[int, Tensor] = {}
        for vertex in graph.below(tops):
            if vertex.kept:
                kept[vertex.identifier] = self._normalised(graph, vertex, kept, parameters)
        self._pass(graph, sinks, kept, parameters)

    def _pass(
        self,
        graph: Graph,
        sinks: Sequence[Sink],
        kept: dict[int, Tensor],
        parameters: dict[int, Tensor],
    ) -> None:
        """Stream all elements through the vertices below some sinks."""
        vertex = sinks[0].vertex
        layout = self._leaves.layout(Activations if vertex.in_activations else Weights)

        def leaf_block(vertex: Vertex, start: int, stop: int) -> Tensor:
            if vertex.identifier in kept:
                return kept[vertex.identifier][..., start:stop]
            return self._leaves.block(vertex, start, stop)

        Stream(
            graph.below([sink.vertex for sink in sinks], stop_at_kept=True),
            sinks,
            leaf_block=leaf_block,
            affine=lambda vertex: AffineKernel(parameters[vertex.identifier], self._leaves.dtype),
            bits=self._leaves.bits,
            dtype=self._leaves.dtype,
            device=self._leaves.device,
        ).run(layout)

    def _normalised(
        self,
        graph: Graph,
        vertex: Vertex,
        kept: dict[int, Tensor],
        parameters: dict[int, Tensor],
    ) -> Tensor:
        """Give a normalised tensor whole, computed once for as long as the memory holds it."""
        assert vertex.key is not None  # noqa: S101 - operators have their text
        assert vertex.overload is not None  # noqa: S101 - kept vertices are operators
        known = self._tensors.get(vertex.key)
        if known is not None:
            return known
        layout = self._leaves.layout_of(vertex)
        out = self._buffer(vertex, layout, kept)
        self._pass(graph, [StoreSink(vertex, out)], kept, parameters)
        function = vertex.overload.operator.function
        for view in layout.views(out):
            for tensor in view if vertex.node.ret is WeightsPerBit else (view,):
                tensor.copy_(function(tensor))
        self._tensors.put(vertex.key, out)
        return out

    def _buffer(self, vertex: Vertex, layout: Layout, kept: dict[int, Tensor]) -> Tensor:
        """Make room for a tensor, in the memory of one that leaves if there is one."""
        per_bit = vertex.node.ret is WeightsPerBit
        shape = (self._leaves.bits, layout.size) if per_bit else (layout.size,)
        in_use = {id(tensor) for tensor in kept.values()}
        for tensor in self._tensors.make_room(self._leaves.bytes_of(vertex.node.ret)):
            if tensor.shape == shape and id(tensor) not in in_use:
                return tensor
        return torch.empty(shape, dtype=self._leaves.dtype, device=self._leaves.device)

    def _accumulator(self, vertex: Vertex) -> Accumulator:
        entries = self._leaves.layout(Weights).entry_count
        overload = vertex.overload
        assert overload is not None  # noqa: S101 - reductions are operators
        operator = overload.operator
        name = "sum" if operator.kind is Kind.MATRIX_REDUCTION else operator.name
        per_bit = overload.result is BitTable
        shape = (entries, self._leaves.bits) if per_bit else (entries,)
        return make_accumulator(
            name, operator.function, shape, self._leaves.device, self._workspace
        )


def _operator_name(vertex: Vertex) -> str:
    assert vertex.overload is not None  # noqa: S101 - normalisers are operators
    return vertex.overload.operator.name


def _parameters_of(vertex: Vertex) -> str:
    """Name the two numbers of each layer; no subtree is called so, since operators come first."""
    return f"parameters of {vertex.key}"
