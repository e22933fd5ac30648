"""From trees and the statistics of a network to sensitivity tables."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.errors import OperatorError
from gp_emq.proxies._cache import ByteCache
from gp_emq.proxies._expression import Node
from gp_emq.proxies._graph import Graph, Vertex
from gp_emq.proxies._leaves import Leaves
from gp_emq.proxies._memory import DEFAULT_MEMORY
from gp_emq.proxies._reduced import apply_reduced
from gp_emq.proxies._reducing import Reducer
from gp_emq.proxies._structured import evaluate_structure
from gp_emq.statistics import Layout, Statistics
from primitives import PrimitiveSet, Role, ShapeMismatchError

TreeError = ShapeMismatchError | OperatorError
"""Why a tree has no table."""

DEFAULT_CACHE_BYTES = 64 * 2**20
"""How many bytes of reduced vectors and tables an evaluator keeps."""


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
            block by block where it does not fit, and softmaxes, which are recomputed layer by
            layer where one of them takes more than a quarter. It changes no result.
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
        self._leaves = Leaves(primitive_set, statistics, device=torch.device(device), memory=memory)
        self._cache = ByteCache(cache_bytes)
        self._reducer = Reducer(self._leaves, self._cache, memory)

    def table(self, tree: Sequence[Node]) -> Tensor:
        """Evaluate one tree; see `tables`.

        Raises:
            ShapeMismatchError: Two tensors inside one of EMQ's fixed structures do not fit.
            OperatorError: An operator or terminal of a user's own fails.
        """
        result = self.tables([tree])[0]
        if not isinstance(result, Tensor):
            raise result
        return result

    def tables(self, trees: Sequence[Sequence[Node]]) -> list[Tensor | TreeError]:
        """Evaluate a population.

        Args:
            trees: Nodes in prefix order, each.

        Returns:
            For each tree its sensitivity table, float64 (entries, bits), not yet oriented, which
            may hold inf or nan; or the error, where two tensors inside one of EMQ's fixed
            structures do not fit, or an operator of a user's own fails.
        """
        # Operators may give inf or nan, which the screen rejects; numpy need not warn of them.
        with one_thread(), torch.no_grad(), np.errstate(all="ignore"):
            return self._isolated(trees)

    def _isolated(self, trees: Sequence[Sequence[Node]]) -> list[Tensor | TreeError]:
        """Evaluate trees together; where an operator fails, in halves, until it stands alone."""
        try:
            return self._together(trees)
        except OperatorError as error:
            if len(trees) == 1:
                return [error]
            middle = len(trees) // 2
            return [*self._isolated(trees[:middle]), *self._isolated(trees[middle:])]

    def _together(self, trees: Sequence[Sequence[Node]]) -> list[Tensor | TreeError]:
        graph = Graph(self._set, self._cache.get)
        roots = [graph.add(tree) for tree in trees]
        values: dict[int, Tensor | TreeError] = dict(graph.known)
        values.update(self._reducer.reductions(graph))
        for vertex in graph.vertices:
            if vertex.is_reduced and vertex.identifier not in values:
                values[vertex.identifier] = self._reduced(vertex, graph, values)
            value = values.get(vertex.identifier)
            if vertex.key is not None and vertex.is_reduced and isinstance(value, Tensor):
                self._cache.put(vertex.key, value)
        return [_on_cpu(values[root]) for root in roots]

    def _reduced(
        self, vertex: Vertex, graph: Graph, values: dict[int, Tensor | TreeError]
    ) -> Tensor | TreeError:
        """Compute a vector or table from vectors and tables, or a fixed structure."""
        if vertex.overload is None:
            return self._leaves.whole(vertex.node.name)
        if vertex.overload.operator.kind is Role.STRUCTURE:
            nodes = [graph.vertices[number].node for number in vertex.arguments]
            try:
                return evaluate_structure(vertex.overload, nodes, self._set, self._structure_input)
            except (ShapeMismatchError, OperatorError) as error:
                return error
        arguments: list[Tensor | float] = []
        for number in vertex.arguments:
            value = values.get(number)
            if isinstance(value, ShapeMismatchError | OperatorError):
                return value
            arguments.append(float(graph.vertices[number].node.name) if value is None else value)
        bits = self._leaves.statistics.tensor("bits").to(self._leaves.device)
        return apply_reduced(vertex.overload, arguments, bits)

    def _structure_input(self, node: Node) -> tuple[list[Tensor], Layout]:
        layout = self._leaves.layout(self._set.statistics[node.name].type)
        return layout.views(self._leaves.whole(node.name)), layout


def _on_cpu(value: Tensor | TreeError) -> Tensor | TreeError:
    return value.cpu() if isinstance(value, Tensor) else value
