"""Making typed trees at random."""

import random
from collections.abc import Mapping

from deap import gp

from gp_emq.proxies import Node
from primitives import BitTable, PrimitiveSet

TERMINAL_SHARE = 0.3
"""How often a growing tree stops where it may."""


def generate(
    primitive_set: PrimitiveSet,
    min_: int,
    max_: int,
    type_: type = BitTable,
    *,
    rng: random.Random,
    weights: Mapping[str, float] | None = None,
) -> list[Node]:
    """Make a random tree of a given type; half of them grown, half as full as types allow.

    Stands in for DEAP's ``genHalfAndHalf``, which raises where a type lacks a terminal or a
    primitive and draws from the global generator. Here a primitive is only drawn if each of its
    arguments can still be completed in the depth that is left.

    Args:
        primitive_set: The set to build from.
        min_: Smallest depth a grown tree stops at, where types allow.
        max_: Largest depth; exceeded only where the type needs more.
        type_: Type of the tree.
        rng: Where choices are drawn from.
        weights: Relative frequency of primitives and of operators as values, by DEAP name; 1
            where absent.

    Returns:
        Nodes in prefix order.
    """
    weights = weights or {}
    full = rng.random() < 0.5
    height = rng.randint(min_, max_)
    minimum = primitive_set.minimum_depths
    nodes: list[Node] = []
    open_types: list[tuple[type, int]] = [(type_, 0)]
    while open_types:
        kind, depth = open_types.pop()
        left = max(height - depth, minimum[kind])
        terminals = primitive_set.terminals.get(kind, [])
        candidates = [
            primitive
            for primitive in primitive_set.primitives.get(kind, [])
            if all(minimum[argument] < left for argument in primitive.args)
        ]
        stops = not full and depth >= min_ and rng.random() < TERMINAL_SHARE
        if terminals and (not candidates or left == 0 or stops):
            nodes.append(draw(terminals, rng, weights))
            continue
        primitive = draw(candidates, rng, weights)
        nodes.append(primitive)
        open_types.extend((argument, depth + 1) for argument in reversed(primitive.args))
    return nodes


def draw(
    candidates: list[gp.Primitive | gp.Terminal],
    rng: random.Random,
    weights: Mapping[str, float],
) -> Node:
    """Draw one node; each as often as its weight says."""
    return rng.choices(candidates, [weights.get(node.name, 1.0) for node in candidates])[0]
