"""Laying work out in tasks: large ones first, which keep together what belongs together."""

from collections.abc import Callable, Sequence

FEW = 8
"""So many workers are those of one machine, alike and near: their tasks are as large as can be."""

PER_WORKER = 4
"""Tasks that each of many workers would get, were all as large as the one that is next."""

LEAST = 32
"""Items of a task of many workers, as long as there are enough for all and some are left."""

LAST = 2
"""Tasks of the last group for each of many workers."""


def lay_out(
    groups: Sequence[Sequence[int]],
    weights: Sequence[float],
    workers: int,
    share: Callable[[Sequence[int], int], Sequence[tuple[int, ...]]],
) -> list[tuple[int, ...]]:
    """Lay groups of items out in tasks, none of which has items of two groups.

    Workers of one machine get large tasks, since what the items of a task have in common is done
    once. For many workers tasks become smaller towards the end, so that nobody waits long for a
    slow one; but each costs messages, so that only the last ones have few items. (Source of the
    first: Polychronopoulos and Kuck, Guided self-scheduling, IEEE Transactions on Computers, 1987.)

    Args:
        groups: Places of the items of each group.
        weights: What an item of each group costs.
        workers: How many there are.
        share: Shares places of one group out in so many tasks of about equal cost.

    Returns:
        Places by task, in the order in which tasks are to be done.
    """
    order = sorted(range(len(groups)), key=lambda group: -weights[group])
    order = [group for group in order if groups[group]]
    loads = [len(groups[group]) * weights[group] for group in order]
    tasks: list[tuple[int, ...]] = []
    for number, group in enumerate(order):
        of_rest, of_all = (loads[number] / sum(some) for some in (loads[number:], loads))
        items = len(groups[group])
        if workers <= FEW:
            wanted = workers * of_all * (1 if len(order) == 1 else 2)
        elif number == len(order) - 1:
            wanted = workers * LAST
        else:
            wanted = min(workers * PER_WORKER * of_rest, max(workers * of_all, items / LEAST))
        tasks += share(groups[group], min(items, max(1, round(wanted))))
    return tasks
