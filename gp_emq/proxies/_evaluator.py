"""From trees and the statistics of a network to sensitivity tables."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.proxies._accumulators import Accumulator, make_accumulator
from gp_emq.proxies._cache import ByteCache
from gp_emq.proxies._expression import Node
from gp_emq.proxies._graph import Graph, Vertex
from gp_emq.proxies._layerwise import Layerwise
from gp_emq.proxies._reduced import apply_reduced
from gp_emq.proxies._streaming import Sink, Stream
from gp_emq.proxies._structured import evaluate_structure
from gp_emq.statistics import Layout, Statistics
from primitives import (
    Activations,
    BitTable,
    Kind,
    PrimitiveSet,
    ShapeMismatchError,
    Weights,
    WeightsPerBit,
)

DEFAULT_CACHE_BYTES = 64 * 2**20
"""How many bytes of reduced vectors and tables an evaluator keeps."""

DEFAULT_MEMORY = 2**30
"""How many bytes of full tensors an evaluator may keep beside the statistics themselves."""


class Evaluator:
    """Evaluates trees on the statistics of one network, on one thread.

    A population is evaluated together: every common subtree once, inputs read once. Values of
    reduced subtrees are kept for later populations, least recently used out first. None of this
    changes a result: the same tree gives the same table, whatever is evaluated beside it.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        cache_bytes: Upper bound of the reduced values that are kept; 0 keeps none.
        memory: Upper bound of full tensors that are kept: the perturbation, which is recomputed
            block by block where it does not fit, and normalised tensors, which are recomputed
            layer by layer where one of them takes more than a quarter.
        device: Where the arithmetic is done.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        statistics: Statistics,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        memory: int = DEFAULT_MEMORY,
        device: str = "cpu",
    ) -> None:
        self._set = primitive_set
        self._statistics = statistics
        self._device = torch.device(device)
        self._dtype = statistics.dtype
        self._cache = ByteCache(cache_bytes)
        self._memory = memory
        self._tensors = ByteCache(memory)
        self._leaves: dict[str, Tensor] = {}
        self._layouts: dict[type, Layout] = {}

    def table(self, tree: Sequence[Node]) -> Tensor:
        """Evaluate one tree; see `tables`.

        Raises:
            ShapeMismatchError: Two tensors inside one of EMQ's fixed structures do not fit.
        """
        result = self.tables([tree])[0]
        if isinstance(result, ShapeMismatchError):
            raise result
        return result

    def tables(self, trees: Sequence[Sequence[Node]]) -> list[Tensor | ShapeMismatchError]:
        """Evaluate a population.

        Args:
            trees: Nodes in prefix order, each.

        Returns:
            For each tree its sensitivity table, float64 (entries, bits), not yet oriented, which
            may hold inf or nan; or the error, where two tensors inside one of EMQ's fixed
            structures do not fit.
        """
        # Operators may give inf or nan, which the screen rejects; numpy need not warn of them.
        with one_thread(), torch.no_grad(), np.errstate(all="ignore"):
            graph = Graph(self._set, self._cache.get, self._may_keep)
            roots = [graph.add(tree) for tree in trees]
            values: dict[int, Tensor | ShapeMismatchError] = dict(graph.known)
            self._stream(graph, values)
            for vertex in graph.vertices:
                if vertex.is_reduced and vertex.identifier not in values:
                    values[vertex.identifier] = self._reduced(vertex, graph, values)
                value = values.get(vertex.identifier)
                if vertex.key is not None and vertex.is_reduced and isinstance(value, Tensor):
                    self._cache.put(vertex.key, value)
            return [_on_cpu(values[root]) for root in roots]

    def _layout(self, kind: type) -> Layout:
        """Give where the layers lie in a flat buffer of `Weights` or `Activations`."""
        if kind not in self._layouts:
            self._layouts[kind] = self._statistics.layout(kind.__name__)
        return self._layouts[kind]

    def _stream(self, graph: Graph, values: dict[int, Tensor | ShapeMismatchError]) -> None:
        """Compute every reduction of tensors, grouped by how and over what it runs."""
        groups: dict[tuple[bool, bool, bool], list[Sink]] = {}
        for vertex in graph.vertices:
            if vertex.overload is None or vertex.overload.operator.kind not in (
                Kind.REDUCTION,
                Kind.MATRIX_REDUCTION,
            ):
                continue
            streams = all(graph.vertices[number].streams for number in vertex.arguments)
            group = (vertex.in_activations, vertex.per_bit, streams)
            groups.setdefault(group, []).append(Sink(vertex, self._accumulator(vertex)))
        for (in_activations, _, streams), sinks in groups.items():
            layout = self._layout(Activations if in_activations else Weights)
            if streams:
                for batch in self._batches(graph, sinks):
                    self._run_stream(graph, batch, layout)
            else:
                vertices = graph.below([sink.vertex for sink in sinks])
                Layerwise(vertices, sinks, partial(self._leaf_of, layout, {})).run(layout)
            for sink in sinks:
                values[sink.vertex.identifier] = sink.accumulator.result()

    def _batches(self, graph: Graph, sinks: Sequence[Sink]) -> Iterator[list[Sink]]:
        """Cut sinks into batches whose kept tensors fit the memory together."""
        batch: list[Sink] = []
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
        return sum(self._tensor_bytes(graph.vertices[number].node.ret) for number in numbers)

    def _tensor_bytes(self, kind: type) -> int:
        """Give what a whole tensor of a type takes."""
        size = self._layout(Activations if kind is Activations else Weights).size
        copies = len(self._statistics.bits) if kind is WeightsPerBit else 1
        return size * copies * self._dtype.itemsize

    def _may_keep(self, kind: type) -> bool:
        return self._tensor_bytes(kind) <= self._memory // 4

    def _run_stream(self, graph: Graph, sinks: Sequence[Sink], layout: Layout) -> None:
        tops = [sink.vertex for sink in sinks]
        kept: dict[int, Tensor] = {}
        for vertex in graph.below(tops):
            if vertex.kept:
                kept[vertex.identifier] = self._normalised(graph, vertex, layout, kept)
        Stream(
            graph.below(tops, stop_at_kept=True),
            sinks,
            leaf_block=partial(self._leaf_block, kept),
            bits=len(self._statistics.bits),
            dtype=self._dtype,
            device=self._device,
        ).run(layout)

    def _normalised(
        self, graph: Graph, vertex: Vertex, layout: Layout, kept: dict[int, Tensor]
    ) -> Tensor:
        """Give a normalised tensor whole, computed once for as long as the memory holds it."""
        assert vertex.key is not None  # noqa: S101 - operators have their text
        known = self._tensors.get(vertex.key)
        if known is not None:
            return known
        shape = (len(self._statistics.bits),) if vertex.node.ret is WeightsPerBit else ()
        out = torch.empty((*shape, layout.size), dtype=self._dtype, device=self._device)
        below = graph.below([vertex], stop_at_kept=True)
        Layerwise(below, [], partial(self._leaf_of, layout, kept)).fill(vertex, layout, out)
        self._tensors.put(vertex.key, out)
        return out

    def _accumulator(self, vertex: Vertex) -> Accumulator:
        entries = self._layout(Weights).entry_count
        overload = vertex.overload
        assert overload is not None  # noqa: S101 - reductions are operators
        operator = overload.operator
        name = "sum" if operator.kind is Kind.MATRIX_REDUCTION else operator.name
        per_bit = overload.result is BitTable
        shape = (entries, len(self._statistics.bits)) if per_bit else (entries,)
        return make_accumulator(name, operator.function, shape, self._device)

    def _reduced(
        self, vertex: Vertex, graph: Graph, values: dict[int, Tensor | ShapeMismatchError]
    ) -> Tensor | ShapeMismatchError:
        """Compute a vector or table from vectors and tables, or a fixed structure."""
        if vertex.overload is None:
            return self._leaf(vertex)
        if vertex.overload.operator.kind is Kind.STRUCTURE:
            nodes = [graph.vertices[number].node for number in vertex.arguments]
            try:
                return evaluate_structure(vertex.overload, nodes, self._set, self._structure_input)
            except ShapeMismatchError as error:
                return error
        arguments: list[Tensor | float] = []
        for number in vertex.arguments:
            value = values.get(number)
            if isinstance(value, ShapeMismatchError):
                return value
            arguments.append(float(graph.vertices[number].node.name) if value is None else value)
        bits = self._statistics.tensor("bits").to(self._device)
        return apply_reduced(vertex.overload, arguments, bits)

    def _structure_input(self, node: Node) -> tuple[list[Tensor], Layout]:
        terminal = self._set.statistics[node.name]
        layout = self._layout(terminal.type)
        return layout.views(self._kept(node.name)), layout

    def _leaf(self, vertex: Vertex) -> Tensor:
        return self._kept(vertex.node.name)

    def _kept(self, name: str) -> Tensor:
        if name not in self._leaves:
            value = self._set.statistics[name].value(self._statistics)
            self._leaves[name] = value.to(self._device)
        return self._leaves[name]

    def _leaf_block(self, kept: dict[int, Tensor], vertex: Vertex, start: int, stop: int) -> Tensor:
        if vertex.identifier in kept:
            return kept[vertex.identifier][..., start:stop]
        name = vertex.node.name
        if vertex.node.ret is WeightsPerBit and not self._keeps_perturbation():
            if name != "quantization_perturbation":
                return self._set.statistics[name].value(self._statistics)[..., start:stop]
            return self._statistics.perturbation(start, stop).to(self._device)
        return self._kept(name)[..., start:stop]

    def _leaf_of(
        self, layout: Layout, kept: dict[int, Tensor], vertex: Vertex, layer: int
    ) -> Tensor:
        start, stop = layout.offsets[layer], layout.offsets[layer + 1]
        block = self._leaf_block(kept, vertex, start, stop)
        return block.reshape(*block.shape[:-1], *layout.shapes[layer])

    def _keeps_perturbation(self) -> bool:
        return self._tensor_bytes(WeightsPerBit) <= self._memory


def _on_cpu(value: Tensor | ShapeMismatchError) -> Tensor | ShapeMismatchError:
    return value.cpu() if isinstance(value, Tensor) else value
