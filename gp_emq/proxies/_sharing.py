"""Sharing expressions out, so that work common to several of them is done by one worker."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gp_emq.proxies._expression import parse_expression
from gp_emq.proxies._graph import subtree_ends
from primitives import PER_BIT_TYPES, TENSOR_TYPES, PrimitiveSet, Role

_PASSES = {Role.NORMALISER: 3, Role.REDUCTION: 2}
"""What an operator costs, in elementwise operators."""
_WIDTHS = 3
"""What a tensor with a bit axis costs, in tensors without."""


def share_expressions(
    expressions: Sequence[str], pieces: int, *, primitive_set: PrimitiveSet
) -> list[tuple[int, ...]]:
    """Share expressions out in parts of about equal cost, with little work in two parts.

    One after the other, dearest first, goes to the part that is then done soonest; subtrees that
    a part has already cost it nothing more.

    Args:
        expressions: Expressions of the set.
        pieces: Most parts.
        primitive_set: The set.

    Returns:
        Places of the expressions, by part; no part is empty.
    """
    costs = [_tensor_costs(text, primitive_set) for text in expressions]
    order = sorted(range(len(costs)), key=lambda place: (-sum(costs[place].values()), place))
    parts: list[list[int]] = [[] for _ in range(min(pieces, len(costs)))]
    loads, sizes = np.zeros(len(parts), dtype=np.int64), np.zeros(len(parts), dtype=np.int64)
    lacking: defaultdict[str, NDArray[np.int64]] = defaultdict(
        lambda: np.ones(len(parts), dtype=np.int64)
    )
    for place in order:
        ends = loads + sum(cost * lacking[text] for text, cost in costs[place].items())
        # Of equals the one with fewest, so that none stays empty.
        chosen = int(np.argmin(ends * (len(costs) + 1) + sizes))
        parts[chosen].append(place)
        loads[chosen] = ends[chosen]
        sizes[chosen] += 1
        for text in costs[place]:
            lacking[text][chosen] = 0
    return [tuple(part) for part in parts if part]


@lru_cache(maxsize=10_000)
def _tensor_costs(expression: str, primitive_set: PrimitiveSet) -> Mapping[str, int]:
    """Give what each distinct subtree costs that is, or reduces, a whole tensor."""
    tree = parse_expression(expression, primitive_set)
    ends = subtree_ends(tree)
    costs: dict[str, int] = {}
    for position, node in enumerate(tree):
        if not node.arity:
            continue
        overload = primitive_set.overloads[node.name]
        tensors = [kind for kind in overload.arguments if kind in TENSOR_TYPES]
        if tensors or overload.operator.kind is Role.STRUCTURE:
            text = " ".join(node.name for node in tree[position : ends[position]])
            widths = _WIDTHS if set(tensors) & {*PER_BIT_TYPES} else 1
            costs[text] = _PASSES.get(overload.operator.kind, 1) * widths
    return costs
