"""From a tree and the statistics of a network to a sensitivity table."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from deap import gp
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.proxies._expression import Node
from gp_emq.proxies._geometry import Geometry, Value
from gp_emq.statistics import Statistics
from primitives import (
    BinaryOperator,
    BitTable,
    Exponent,
    Input,
    LayerVector,
    PrimitiveSet,
    UnaryOperator,
    as_value,
)

DEFAULT_CACHE_BYTES = 64 * 2**20
"""How many bytes of reduced vectors and tables an evaluator keeps."""


class Evaluator:
    """Evaluates trees on the statistics of one network, iteratively and on one thread.

    Values of reduced subtrees (`LayerVector`, `BitTable`) are kept across trees, least recently
    used out first; they are small and search populations share many. Caching never changes a
    result: the same nodes give the same value.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        cache_bytes: Upper bound of what is kept; 0 keeps nothing.
        device: Where the arithmetic is done.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        statistics: Statistics,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        device: str = "cpu",
    ) -> None:
        self._set = primitive_set
        self._statistics = statistics
        self._device = torch.device(device)
        self._geometry = Geometry(statistics, self._device)
        self._cache_bytes = cache_bytes
        self._cached_bytes = 0
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._leaves: dict[tuple[str, type], Value] = {}

    def table(self, tree: Sequence[Node]) -> Tensor:
        """Evaluate a tree.

        Args:
            tree: Nodes in prefix order.

        Returns:
            Sensitivity table, float64 (entries, bits), not yet oriented; it may hold inf or nan.

        Raises:
            ShapeMismatchError: Two tensors inside one of EMQ's fixed structures do not fit.
        """
        with one_thread(), torch.no_grad():
            return self._evaluate(tree).cpu()

    def _evaluate(self, tree: Sequence[Node]) -> Tensor:
        ends = _subtree_ends(tree)
        keys: dict[int, str] = {}
        known: dict[int, Tensor] = {}
        needed: list[int] = []
        position = 0
        while position < len(tree):
            node = tree[position]
            if node.arity and node.ret in (LayerVector, BitTable):
                keys[position] = " ".join(n.name for n in tree[position : ends[position]])
                cached = self._recall(keys[position])
                if cached is not None:
                    known[position] = cached
                    needed.append(position)
                    position = ends[position]
                    continue
            needed.append(position)
            position += 1
        stack: list[Value] = []
        for position in reversed(needed):
            node = tree[position]
            if position in known:
                stack.append(known[position])
            elif node.arity == 0:
                stack.append(self._leaf(node))
            else:
                arguments = [stack.pop() for _ in range(node.arity)]
                value = self._geometry.apply(self._set.overloads[node.name], arguments)
                if position in keys:
                    self._remember(keys[position], value)
                stack.append(value)
        table: Tensor = stack[-1]
        return table

    def _leaf(self, node: gp.Terminal) -> Value:
        key = (node.name, node.ret)
        if key not in self._leaves:
            self._leaves[key] = self._leaf_value(node)
        return self._leaves[key]

    def _leaf_value(self, node: gp.Terminal) -> Value:
        if node.ret is Exponent:
            return float(node.name)
        if node.ret in (UnaryOperator, BinaryOperator):
            return as_value(self._set.operator_values[node.name])
        terminal = self._set.statistics[node.name]
        value = terminal.value(self._statistics).to(self._device)
        if node.ret is Input:
            return self._geometry.layout(terminal.type).views(value)
        return value

    def _recall(self, key: str) -> Tensor | None:
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        return None

    def _remember(self, key: str, value: Tensor) -> None:
        size = value.numel() * value.element_size() + len(key)
        if size > self._cache_bytes:
            return
        self._cache[key] = value
        self._cached_bytes += size
        while self._cached_bytes > self._cache_bytes:
            old_key, old = self._cache.popitem(last=False)
            self._cached_bytes -= old.numel() * old.element_size() + len(old_key)


def _subtree_ends(tree: Sequence[Node]) -> list[int]:
    """Give, for each node, the position just after its subtree."""
    ends = [0] * len(tree)
    for position in range(len(tree) - 1, -1, -1):
        end = position + 1
        for _ in range(tree[position].arity):
            end = ends[end]
        ends[position] = end
    return ends
