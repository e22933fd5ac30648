"""Making trees from trees, with every choice drawn from the given generator.

DEAP's operators draw from the global generator, and ``cxOnePoint`` walks a set of classes, so
that the same seed gives another run under another ``PYTHONHASHSEED``. These keep DEAP's
signatures, take the generator by keyword, never change their arguments, and visit types in
order of their names.
"""

import random
from collections.abc import Callable, Mapping, Sequence

from gp_emq.evolution._generation import draw, generate
from gp_emq.proxies import Node
from primitives import PrimitiveSet


def cx_one_point(
    ind1: Sequence[Node], ind2: Sequence[Node], *, rng: random.Random
) -> tuple[list[Node], list[Node]]:
    """Exchange two subtrees of one type.

    Args:
        ind1: First parent, nodes in prefix order.
        ind2: Second parent.
        rng: Where choices are drawn from.

    Returns:
        Two children; copies of the parents if nothing below their roots has a common type.
    """
    points1, points2 = _points_by_type(ind1), _points_by_type(ind2)
    common = sorted(points1.keys() & points2.keys(), key=lambda kind: kind.__name__)
    if not common:
        return list(ind1), list(ind2)
    kind = rng.choices(common, [len(points1[kind]) for kind in common])[0]
    slice1 = _subtree(ind1, rng.choice(points1[kind]))
    slice2 = _subtree(ind2, rng.choice(points2[kind]))
    return (
        [*ind1[: slice1.start], *ind2[slice2], *ind1[slice1.stop :]],
        [*ind2[: slice2.start], *ind1[slice1], *ind2[slice2.stop :]],
    )


def mut_uniform(
    individual: Sequence[Node],
    *,
    primitive_set: PrimitiveSet,
    rng: random.Random,
    weights: Mapping[str, float],
) -> list[Node]:
    """Replace a random subtree by a fresh one of its type, at most three levels deep."""
    place = _subtree(individual, rng.randrange(len(individual)))
    kind = individual[place.start].ret
    if kind not in primitive_set.minimum_depths:  # a constant that a seed brought along
        return list(individual)
    fresh = generate(primitive_set, 0, 3, kind, rng=rng, weights=weights)
    return [*individual[: place.start], *fresh, *individual[place.stop :]]


def mut_node_replacement(
    individual: Sequence[Node],
    *,
    primitive_set: PrimitiveSet,
    rng: random.Random,
    weights: Mapping[str, float],
) -> list[Node]:
    """Replace one node by another of the same signature."""
    position = rng.randrange(len(individual))
    node = individual[position]
    if node.arity == 0:
        others = [leaf for leaf in primitive_set.terminals[node.ret] if leaf.name != node.name]
    else:
        others = [
            primitive
            for primitive in primitive_set.primitives[node.ret]
            if primitive.args == node.args and primitive.name != node.name
        ]
    replacement = draw(others, rng, weights) if others else node
    return [*individual[:position], replacement, *individual[position + 1 :]]


def mut_insert(
    individual: Sequence[Node],
    *,
    primitive_set: PrimitiveSet,
    rng: random.Random,
    weights: Mapping[str, float],
) -> list[Node]:
    """Put a primitive above a random subtree; its other arguments are fresh and shallow."""
    place = _subtree(individual, rng.randrange(len(individual)))
    kind = individual[place.start].ret
    candidates = [p for p in primitive_set.primitives.get(kind, []) if kind in p.args]
    if not candidates:
        return list(individual)
    primitive = draw(candidates, rng, weights)
    slots = [slot for slot, argument in enumerate(primitive.args) if argument is kind]
    kept = rng.choice(slots)
    inserted: list[Node] = [primitive]
    for slot, argument in enumerate(primitive.args):
        inserted.extend(
            individual[place]
            if slot == kept
            else generate(primitive_set, 0, 1, argument, rng=rng, weights=weights)
        )
    return [*individual[: place.start], *inserted, *individual[place.stop :]]


def mut_shrink(
    individual: Sequence[Node],
    *,
    primitive_set: PrimitiveSet,  # noqa: ARG001 - the signature that all mutations share
    rng: random.Random,
    weights: Mapping[str, float],  # noqa: ARG001
) -> list[Node]:
    """Replace a subtree by one of its own subtrees of the same type."""
    pairs = [
        (outer, inner)
        for outer in range(len(individual))
        if individual[outer].arity
        for inner in range(outer + 1, _subtree(individual, outer).stop)
        if individual[inner].ret is individual[outer].ret
    ]
    if not pairs:
        return list(individual)
    outer, inner = rng.choice(pairs)
    place = _subtree(individual, outer)
    return [
        *individual[: place.start],
        *individual[_subtree(individual, inner)],
        *individual[place.stop :],
    ]


Mutation = Callable[..., list[Node]]
MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (mut_uniform, 3),
    (mut_node_replacement, 3),
    (mut_insert, 2),
    (mut_shrink, 2),
)
"""The mutations, and how often each is drawn."""


def mutate(
    individual: Sequence[Node],
    *,
    primitive_set: PrimitiveSet,
    rng: random.Random,
    weights: Mapping[str, float],
) -> list[Node]:
    """Apply one of `MUTATIONS`."""
    mutation = rng.choices([m for m, _ in MUTATIONS], [share for _, share in MUTATIONS])[0]
    return mutation(individual, primitive_set=primitive_set, rng=rng, weights=weights)


def _subtree(tree: Sequence[Node], begin: int) -> slice:
    """Give the slice of the subtree that begins at a node."""
    end, missing = begin, 1
    while missing:
        missing += tree[end].arity - 1
        end += 1
    return slice(begin, end)


def _points_by_type(tree: Sequence[Node]) -> dict[type, list[int]]:
    """Group the nodes below the root by type."""
    points: dict[type, list[int]] = {}
    for position, node in enumerate(tree[1:], start=1):
        points.setdefault(node.ret, []).append(position)
    return points
