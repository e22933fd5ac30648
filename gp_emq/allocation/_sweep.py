"""The Pareto front of score against cost, from the narrowest widths to the widest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gp_emq.allocation._costs import (
    Budget,
    Costs,
    CostSettings,
    average_costs,
    bit_operation_costs,
    scaled,
    size_costs,
)
from gp_emq.allocation._measures import Measures, Meter
from gp_emq.allocation._names import AXES
from gp_emq.allocation._problem import Problem
from gp_emq.allocation._space import Configuration, Space
from gp_emq.errors import AllocationError
from gp_emq.networks import MEBIBYTE

POINTS = 25
_NODES = 300


@dataclass(frozen=True)
class SweepPoint:
    """One configuration of the front.

    Attributes:
        cost: On the axis of the sweep.
        score: The highest there is at that cost.
        gap: Upper bound of what a better one could still add; 0 if it is proven the best.
        configuration: One width per entry.
        measures: What it costs.
    """

    cost: float
    score: float
    gap: float
    configuration: Configuration
    measures: Measures


@dataclass(frozen=True)
class Sweep:
    """A Pareto front, cheapest first: both cost and score rise.

    Attributes:
        axis: One of `AXES`.
        points: The front.
        entries: First layer of each entry, in the order of the configurations.
        provenance: What the table says of itself: proxy, formula, statistics.
        not_rising: First layers of the entries whose score falls somewhere as bits rise.
        constant: First layers of the entries whose score is the same at every width.
        scale_group: Weights of an output channel that share a scale, as sizes were counted; None
            for no groups.
    """

    axis: str
    points: tuple[SweepPoint, ...]
    entries: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    not_rising: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    scale_group: int | None = None


def axis_costs(space: Space, settings: CostSettings, axis: str) -> Costs:
    """Costs on an axis of a sweep, in its unit.

    Raises:
        AllocationError: The axis is unknown.
    """
    if axis == "size":
        return scaled(size_costs(space, settings, settings.accounting), MEBIBYTE)
    if axis == "average-bits":
        return average_costs(space)
    if axis == "bops":
        return scaled(bit_operation_costs(space, settings), 1e9)
    raise AllocationError(f"unknown axis {axis!r}: known are {', '.join(AXES)}")


def sweep(
    problem: Problem, settings: CostSettings, axis: str = "size", points: int = POINTS
) -> Sweep:
    """Find the best configuration at costs from the least possible to the greatest.

    Args:
        problem: Says what may be chosen; its budgets do not count.
        settings: How costs are counted.
        axis: What to limit, one of `AXES`.
        points: How many costs to try, evenly spaced; the front has at most as many.

    Raises:
        AllocationError: The axis is unknown, or there are fewer than two points.
    """
    if points < 2:
        raise AllocationError(f"a sweep needs at least 2 points, not {points}")
    costs = axis_costs(problem.space, settings, axis)
    meter = Meter(problem.space, settings)
    widths = problem.space.widths
    rows = [[costs[entry, width] for width in allowed] for entry, allowed in enumerate(widths)]
    least, most = math.fsum(map(min, rows)), math.fsum(map(max, rows))
    front: list[SweepPoint] = []
    for limit in np.linspace(least, most, points):
        budget = Budget(axis, AXES[axis], float(limit), costs)
        choice = problem.with_budgets([budget]).best(_NODES)
        if choice is None:
            continue
        score, cost = problem.score(choice.configuration), budget.total(choice.configuration)
        if not front or score > front[-1].score:
            measures = meter.measure(choice.configuration)
            front.append(SweepPoint(cost, score, choice.gap, choice.configuration, measures))
    return Sweep(
        axis,
        tuple(front),
        entries=problem.space.entry_names,
        provenance=dict(problem.provenance),
        not_rising=problem.not_rising(),
        constant=problem.constant(),
        scale_group=settings.granularity.group,
    )
