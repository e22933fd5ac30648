"""The trees of a whole population as one graph in which every common subtree stands once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from gp_emq.proxies._expression import Node
from primitives import (
    PER_BIT_TYPES,
    TENSOR_TYPES,
    Activations,
    ActivationsPerBit,
    BitTable,
    LayerVector,
    Overload,
    PrimitiveSet,
    Role,
)


@dataclass(frozen=True)
class Vertex:
    """A distinct subtree.

    Args:
        identifier: Its number; arguments come before what uses them.
        node: Its root, as DEAP knows it.
        overload: The operator at its root; None for a leaf.
        arguments: Numbers of its arguments.
        key: Its text, for values that outlive the graph: reduced ones and kept tensors.
        streams: Whether it is a tensor made of leaves, elementwise operators and normalisers
            alone, and can be computed piece by piece.
        by_layer: Whether it is a normaliser that looks at a layer's elements together.
        affine: Whether it is a normaliser that can be computed piece by piece once two numbers
            are known of each layer.
        rank: How many passes over the data find such numbers before it can be computed; of a
            reduction, before it can take its arguments.
        in_activations: Whether the tensors below it are activations.
        per_bit: Whether its value has a bit axis.
    """

    identifier: int
    node: Node
    overload: Overload | None
    arguments: tuple[int, ...]
    key: str | None
    streams: bool
    by_layer: bool
    affine: bool
    rank: int
    in_activations: bool
    per_bit: bool

    @property
    def is_reduced(self) -> bool:
        """Whether its value is a `LayerVector` or a `BitTable`."""
        return self.node.ret in (LayerVector, BitTable)


class Graph:
    """Collects trees; a subtree that several share is one vertex.

    Args:
        primitive_set: The set the trees are made of.
        recall: Gives the value of a reduced subtree by its text, where it is still known.
    """

    def __init__(self, primitive_set: PrimitiveSet, recall: Callable[[str], Tensor | None]) -> None:
        self._set = primitive_set
        self._recall = recall
        self._numbers: dict[tuple[object, ...], int] = {}
        self.vertices: list[Vertex] = []
        self.known: dict[int, Tensor] = {}

    def add(self, tree: Sequence[Node]) -> int:
        """Add a tree and give the number of its root.

        What is below a reduced subtree whose value is known is left out.
        """
        ends = subtree_ends(tree)
        keys: dict[int, str] = {}
        needed: list[int] = []
        recalled: dict[int, Tensor] = {}
        position = 0
        while position < len(tree):
            needed.append(position)
            if tree[position].arity:
                key = " ".join(node.name for node in tree[position : ends[position]])
                keys[position] = key
                reduced = tree[position].ret in (LayerVector, BitTable)
                value = self._recall(key) if reduced else None
                if value is not None:
                    recalled[position] = value
                    position = ends[position]
                    continue
            position += 1
        stack: list[int] = []
        for position in reversed(needed):
            node = tree[position]
            if position in recalled:
                number = self._vertex(node, (), keys[position], leaf=True)
                self.known[number] = recalled[position]
            else:
                arguments = tuple(stack.pop() for _ in range(node.arity))
                number = self._vertex(node, arguments, keys.get(position))
            stack.append(number)
        return stack[-1]

    def _vertex(
        self, node: Node, arguments: tuple[int, ...], key: str | None, *, leaf: bool = False
    ) -> int:
        identity = (node.name, node.ret, key if leaf else arguments)
        if identity in self._numbers:
            return self._numbers[identity]
        number = len(self.vertices)
        below = [self.vertices[argument] for argument in arguments]
        overload = None if leaf or not node.arity else self._set.overloads[node.name]
        kind = overload.operator.kind if overload else Role.ELEMENTWISE
        flows = node.ret in TENSOR_TYPES and all(
            vertex.streams for vertex in below if vertex.node.ret in TENSOR_TYPES
        )
        normalises = flows and overload is not None and kind is Role.NORMALISER
        affine = normalises and overload is not None and overload.operator.affine is not None
        rank = max((vertex.rank for vertex in below if not vertex.is_reduced), default=0)
        vertex = Vertex(
            identifier=number,
            node=node,
            overload=overload,
            arguments=arguments,
            key=key,
            streams=flows and kind in (Role.ELEMENTWISE, Role.NORMALISER),
            by_layer=normalises and not affine,
            affine=affine,
            rank=rank + affine,
            in_activations=node.ret in (Activations, ActivationsPerBit)
            or any(vertex.in_activations for vertex in below if not vertex.is_reduced),
            per_bit=node.ret in (*PER_BIT_TYPES, BitTable),
        )
        self._numbers[identity] = number
        self.vertices.append(vertex)
        return number

    def below(self, tops: Sequence[Vertex], *, stop_at_layers: bool = False) -> list[Vertex]:
        """Give everything that some vertices need, arguments first, without themselves.

        Args:
            tops: The vertices.
            stop_at_layers: Whether normalisers that look at whole layers stand as leaves, without
                what is below them.
        """
        needed: dict[int, Vertex] = {}
        open_numbers = [argument for vertex in tops for argument in vertex.arguments]
        while open_numbers:
            number = open_numbers.pop()
            if number in needed:
                continue
            vertex = self.vertices[number]
            if stop_at_layers and vertex.by_layer:
                vertex = replace(vertex, overload=None, arguments=())
            needed[number] = vertex
            open_numbers.extend(vertex.arguments)
        return [needed[number] for number in sorted(needed)]


def subtree_ends(tree: Sequence[Node]) -> list[int]:
    """Give, for each node, the position just after its subtree."""
    ends = [0] * len(tree)
    for position in range(len(tree) - 1, -1, -1):
        end = position + 1
        for _ in range(tree[position].arity):
            end = ends[end]
        ends[position] = end
    return ends
