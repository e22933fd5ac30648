"""The baselines: trees evaluated the plain way, layer by layer, one after the other, no caches.

``interpret`` walks a tree over the layers; ``PlainDeap`` compiles it with DEAP's ``gp.compile``
into nested calls. Both do the same arithmetic as the project's evaluator, in eager torch.
"""

from collections.abc import Sequence
from typing import Any

import torch
from deap import gp
from torch import Tensor

from gp_emq.proxies import Node
from gp_emq.statistics import Statistics
from primitives import (
    NUMBER_TYPES,
    PER_BIT_TYPES,
    TENSOR_TYPES,
    BitTable,
    LayerVector,
    Matrices,
    Overload,
    PrimitiveSet,
    Role,
    as_rows,
)

PlainValue = Any
"""A list of layer tensors, a vector, a table or a number."""


class PlainContext:
    """Leaves and operators over lists of layer tensors."""

    def __init__(self, primitive_set: PrimitiveSet, statistics: Statistics) -> None:
        self.set = primitive_set
        self._statistics = statistics
        self._leaves = {name: self._leaf_value(name) for name in primitive_set.statistics}

    def leaf(self, node: gp.Terminal) -> PlainValue:
        """Give the value of a leaf."""
        return float(node.name) if node.ret in NUMBER_TYPES else self._leaves[node.name]

    def _leaf_value(self, name: str) -> PlainValue:
        terminal = self.set.statistics[name]
        value = terminal.value(self._statistics)
        if terminal.type in TENSOR_TYPES:
            kind = terminal.type.__name__
            return [view.clone() for view in self._statistics.layout(kind).views(value)]
        return value

    def apply(  # noqa: PLR0911 - a kind a line
        self, overload: Overload, arguments: Sequence[PlainValue]
    ) -> PlainValue:
        """Apply an operator, layer by layer."""
        operator, kind = overload.operator, overload.operator.kind
        first = overload.arguments[0]
        if first in (LayerVector, BitTable):
            return self._on_vectors(overload, arguments)
        layers = zip(
            *(a if isinstance(a, list) else [a] * len(arguments[0]) for a in arguments),
            strict=True,
        )
        if kind is Role.ELEMENTWISE:
            return [operator.function(*layer) for layer in layers]
        if kind is Role.NORMALISER:
            if first in PER_BIT_TYPES:
                return [torch.stack([operator.function(row) for row in x]) for (x,) in layers]
            return [operator.function(x) for (x,) in layers]
        if kind is Role.MATRIX:
            return [operator.function(*map(as_rows, layer)) for layer in layers]
        if kind is Role.MATRIX_REDUCTION:
            return torch.stack([operator.function(x).double() for (x,) in layers])
        return torch.stack(
            [
                operator.function(
                    *(
                        x.flatten(1).double() if taken in PER_BIT_TYPES else x.reshape(-1).double()
                        for x, taken in zip(layer, overload.arguments, strict=True)
                    )
                )
                for layer in layers
            ]
        )

    def _on_vectors(self, overload: Overload, arguments: Sequence[PlainValue]) -> Tensor:
        function = overload.operator.function
        if overload.operator.name == "times_bits":
            return function(arguments[0][:, None], self._statistics.tensor("bits"))
        if LayerVector in overload.arguments and BitTable in overload.arguments:
            return function(*(x[:, None] if x.dim() == 1 else x for x in arguments))
        if overload.operator.kind is Role.NORMALISER and overload.arguments[0] is BitTable:
            return function(arguments[0].reshape(-1)).reshape(arguments[0].shape)
        return function(*arguments)


def interpret(tree: Sequence[Node], context: PlainContext) -> Tensor:
    """Evaluate one tree, every subtree anew."""
    stack: list[PlainValue] = []
    for node in reversed(tree):
        if node.arity == 0:
            stack.append(context.leaf(node))
        else:
            arguments = [stack.pop() for _ in range(node.arity)]
            stack.append(context.apply(context.set.overloads[node.name], arguments))
    result: Tensor = stack[-1]
    return result


class PlainDeap:
    """Evaluates trees with ``gp.compile``, as DEAP's tutorials do."""

    def __init__(self, context: PlainContext) -> None:
        self._set = gp.PrimitiveSetTyped("plain", [], BitTable)
        self._set.context = {"__builtins__": None}
        for name, overload in context.set.overloads.items():
            self._set.context[name] = self._function(context, overload)
        for kind in (*_TERMINAL_KINDS,):
            for leaf in context.set.terminals.get(kind, []):
                self._set.context[leaf.name] = context.leaf(leaf)

    @staticmethod
    def _function(context: PlainContext, overload: Overload) -> Any:
        def call(*arguments: PlainValue) -> PlainValue:
            return context.apply(overload, arguments)

        return call

    def table(self, tree: Sequence[Node]) -> Tensor:
        """Compile and evaluate one tree."""
        result: Tensor = gp.compile(gp.PrimitiveTree(tree), self._set)
        return result


_TERMINAL_KINDS = (*TENSOR_TYPES, Matrices, LayerVector, BitTable, *NUMBER_TYPES)
