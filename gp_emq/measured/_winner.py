"""From the scores of several proxies to the one to plan by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from numpy.typing import ArrayLike

from gp_emq._progress import progress_bar, show
from gp_emq.allocation import (
    Budget,
    Configuration,
    CostSettings,
    Plan,
    Problem,
    Space,
    replanned,
    uniform_configuration,
)
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.measured._contest import contest
from gp_emq.measured._names import ONE_WIDTH
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._text import format_contest


@dataclass(frozen=True)
class Winner:
    """What came of a race between the plans of several proxies, and one width everywhere.

    Attributes:
        proxy: Name of the proxy whose plan loses least.
        one_width: One width everywhere, where that loses less than the plans of all proxies.
        said: What to say of the race; nothing where no plan is within the budgets.
    """

    proxy: str
    one_width: Configuration | None
    said: str

    def taken(self, plan: Plan, problem: Problem, settings: CostSettings) -> Plan:
        """Give the plan that won.

        Args:
            plan: The proxy's.
            problem: That it is of.
            settings: How its costs are counted.
        """
        if self.one_width is None:
            return plan
        return replanned(plan, problem, self.one_width, settings)


def winner_of(
    tables: Mapping[str, Callable[[], ArrayLike]],
    space: Space,
    budgets: Sequence[Budget],
    network: PlanNetwork,
) -> Winner:
    """Find the proxy to plan by, of several: the one whose plan loses least on the network.

    Those that cannot score the network, or whose scores cannot rank, stay out of the race.

    Args:
        tables: By name of the proxy, what computes its scores, (decisions, bits).
        space: What plans may choose.
        budgets: What they must keep.
        network: Measures.

    Raises:
        GpEmqError: None of them gives a plan, or as `contest` says.
    """
    plans: dict[str, Configuration] = {}
    without: dict[str, GpEmqError] = {}
    with progress_bar("scoring", "proxy") as bar:
        for done, (name, table) in enumerate(tables.items()):
            show(bar, done, len(tables), name)
            try:
                problem = Problem.of(table(), space, budgets)
                choice = problem.best()
            except GpEmqError as error:
                without[name] = error
                continue
            if choice is None:
                return Winner(name, None, "")  # no plan fits, which solving says in detail
            plans[name] = choice.configuration
    if not plans:
        told = _told(without)
        raise AllocationError("; ".join(told)) if told[1:] else next(iter(without.values()))
    of_one_width = (uniform_configuration(problem, width) for width in reversed(space.bits))
    if (widest := next(filter(problem.fits, of_one_width), None)) is not None:
        plans[ONE_WIDTH] = widest
    with progress_bar("racing", "plan") as bar:
        found = contest(plans, network, partial(show, bar))
    proxy = next(name for name in found.losses if name != ONE_WIDTH)
    lines = [format_contest(found)]
    lines += ["the plan is one width everywhere"] if found.winner == ONE_WIDTH else []
    lines += _told(without)
    one_width = widest if found.winner == ONE_WIDTH else None
    return Winner(proxy, one_width, "; ".join(lines))


def _told(without: Mapping[str, GpEmqError]) -> list[str]:
    """Say which proxies give no plan and why, those of one reason together."""
    names: dict[str, list[str]] = {}
    for name, error in without.items():
        names.setdefault(str(error), []).append(name)
    return [
        f"{', '.join(some)} {'gives' if len(some) == 1 else 'give'} no plan: {reason}"
        for reason, some in names.items()
    ]
