"""A point of a sweep as a budget: the plan of that budget is the point's."""

from gp_emq.allocation._budgets import make_budgets
from gp_emq.allocation._costs import Budget, CostSettings
from gp_emq.allocation._problem import Problem
from gp_emq.allocation._sweep import Sweep
from gp_emq.errors import AllocationError
from gp_emq.files import shortened


def picked_budget(
    front: Sweep, number: int, problem: Problem, settings: CostSettings, *, where: str = "the sweep"
) -> Budget:
    """Return the budget that a point of a sweep answers: what the point costs.

    Args:
        front: The sweep.
        number: Of the point, from 1, the cheapest, as in the sweep's table.
        problem: What the sweep is of; a sweep of another one is refused.
        settings: How costs are counted.
        where: What complaints call the sweep.

    Raises:
        AllocationError: There is no such point, or the sweep is of another table or network, or
            of other bit choices, or counts costs in another way.
    """
    if not 1 <= number <= len(front.points):
        raise AllocationError(
            f"{where} has no point {number}: its points are 1 to {len(front.points)}"
        )
    if front.entries != problem.space.entry_names:
        raise AllocationError(
            f"{where} has decisions for {_listed(front.entries)}, not for "
            f"{_listed(problem.space.entry_names)}: give the network and groups that it is of"
        )
    for name in sorted({*front.provenance, *problem.provenance}):
        stated, found = front.provenance.get(name), problem.provenance.get(name)
        if stated != found:
            raise AllocationError(
                f"{where} is of another table: its {name} is {shortened(stated)}, not "
                f"{shortened(found)}"
            )
    _check_groups(front.scale_group, settings.granularity.group, where)
    point = front.points[number - 1]
    limit = {front.axis: point.cost}
    (budget,) = make_budgets(
        problem.space,
        settings,
        size_mib=limit.get("size"),
        average_bits=limit.get("average-bits"),
        bops_g=limit.get("bops"),
    )
    pairs = zip(problem.space.widths, point.configuration, strict=True)
    if any(width not in widths for widths, width in pairs):
        raise AllocationError(f"point {number} of {where} has widths that may not be chosen here")
    if budget.total(point.configuration) != point.cost:
        raise AllocationError(
            f"point {number} of {where} costs {point.cost:.5g} {budget.unit}, and here "
            f"{budget.total(point.configuration):.5g}: give the accounting and activation bits "
            "that it was made with"
        )
    return budget


def _check_groups(stated: int | None, found: int | None, where: str) -> None:
    if stated != found:
        told = ["no groups" if of is None else f"groups of {of}" for of in (stated, found)]
        raise AllocationError(
            f"{where} counts {told[0]} of weights that share a scale, and here are {told[1]}: give "
            "--scale-group, or the settings, that it was made with"
        )


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)} layers from {shortened(names[0])}" if names else "no layers"
