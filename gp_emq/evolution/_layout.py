"""How a search's items are laid out in tasks."""

from collections.abc import Sequence
from functools import cache

from gp_emq.evolution._tables import TableItem
from gp_emq.farm import lay_out
from gp_emq.proxies import share_expressions
from primitives import PrimitiveSet


def share_items(
    items: Sequence[TableItem], workers: int, *, weights: Sequence[int], primitive_set: PrimitiveSet
) -> list[tuple[int, ...]]:
    """Lay items out in tasks of one network, whose expressions have work in common.

    Args:
        items: Expressions, each with the place of its network's statistics.
        workers: How many there are.
        weights: What an expression costs on each network, such as its elements.
        primitive_set: The set of the expressions.

    Returns:
        Places of items, by task.
    """
    groups: list[list[int]] = [[] for _ in weights]
    for place, (network, _) in enumerate(items):
        groups[network].append(place)

    @cache
    def parts(expressions: tuple[str, ...], tasks: int) -> list[tuple[int, ...]]:
        return share_expressions(expressions, tasks, primitive_set=primitive_set)

    def share(places: Sequence[int], tasks: int) -> list[tuple[int, ...]]:
        # Most networks are asked for the same expressions.
        found = parts(tuple(items[place][1] for place in places), tasks)
        return [tuple(places[own] for own in part) for part in found]

    return lay_out(groups, weights, workers, share)
