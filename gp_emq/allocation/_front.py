"""The best configuration at every limit of one cost at once, by dynamic programming."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation._costs import Budget, Costs
from gp_emq.allocation._problem import Problem
from gp_emq.allocation._space import Configuration

FloatArray = NDArray[np.float64]

STATES = 20_000
"""Most choices among the first entries, none better and cheaper than another, to go on with."""
NODES = 300
"""Most nodes of the branch and bound of a plan where there are more."""


def best_within(
    problem: Problem, costs: Costs, limits: Sequence[float]
) -> list[Configuration | None]:
    """Find the configuration with the highest score within each limit of one cost.

    Small networks leave few choices to go on with (see `best_at`), and all limits share the work;
    those of larger ones are integer programs, one for each limit.

    Args:
        problem: Says what may be chosen, and how it scores; its budgets do not count.
        costs: By entry and width, not negative, in whole numbers of some unit, such as bits.
        limits: Most that a configuration may cost.

    Returns:
        The configuration at each limit; None at one that none keeps.
    """
    widths = problem.space.widths
    chosen = best_at(
        [[problem.scores[entry, width] for width in own] for entry, own in enumerate(widths)],
        [[costs[entry, width] for width in own] for entry, own in enumerate(widths)],
        limits,
    )
    if chosen is not None:
        return [
            None
            if options is None
            else tuple(own[option] for own, option in zip(widths, options, strict=True))
            for options in chosen
        ]
    found = [problem.with_budgets([Budget("cost", "", x, costs)]).best(NODES) for x in limits]
    return [None if choice is None else choice.configuration for choice in found]


def best_at(
    scores: Sequence[Sequence[float]],
    costs: Sequence[Sequence[float]],
    limits: Sequence[float],
    *,
    states: int = STATES,
) -> list[tuple[int, ...] | None] | None:
    """Choose one option of each entry, with the highest total score within each limit.

    Entries are taken one after the other. Of the choices among those so far, one that costs as
    much as another and scores no higher can be in no optimum; the others go on.

    Args:
        scores: Of each option of each entry, finite.
        costs: Likewise, not negative. Their sums are compared without tolerance.
        limits: Most that a choice may cost.
        states: Most choices to go on with.

    Returns:
        The option of each entry at each limit; None at one that no choice keeps. None altogether
        where there are more choices to go on with than `states`.
    """
    rest = sum(map(min, costs))
    cost, loss = np.zeros(1), np.zeros(1)
    came_from: list[tuple[NDArray[np.intp], int]] = []
    for own_scores, own_costs in zip(scores, costs, strict=True):
        rest -= min(own_costs)
        every_cost = np.add.outer(cost, own_costs).ravel()
        every_loss = np.add.outer(loss, max(own_scores) - np.asarray(own_scores)).ravel()
        kept = _undominated(every_cost, every_loss, max(limits) - rest)
        if len(kept) > states:
            return None
        cost, loss = every_cost[kept], every_loss[kept]
        came_from.append((kept, len(own_costs)))
    places = np.searchsorted(cost, np.asarray(limits), side="right") - 1
    return [_traced(came_from, int(place)) if place >= 0 else None for place in places]


def _undominated(cost: FloatArray, loss: FloatArray, limit: float) -> NDArray[np.intp]:
    """Give the places of what no other is as cheap as and loses no more than, cheapest first."""
    order = np.lexsort((loss, cost))
    order = order[cost[order] <= limit]
    losses = loss[order]
    before = np.minimum.accumulate(np.concatenate([[np.inf], losses[:-1]]))
    return order[losses < before]


def _traced(came_from: Sequence[tuple[NDArray[np.intp], int]], place: int) -> tuple[int, ...]:
    """Follow a choice back to the option that it took of each entry."""
    choice = []
    for kept, options in reversed(came_from):
        place, option = divmod(int(kept[place]), options)
        choice.append(option)
    return tuple(reversed(choice))
