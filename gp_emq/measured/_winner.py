"""From the scores of several proxies to the one to plan by."""

from collections.abc import Callable, Mapping, Sequence

from numpy.typing import ArrayLike

from gp_emq.allocation import Budget, Problem, Space
from gp_emq.errors import GpEmqError
from gp_emq.measured._contest import contest
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._text import format_contest


def winner_of(
    tables: Mapping[str, Callable[[], ArrayLike]],
    space: Space,
    budgets: Sequence[Budget],
    network: PlanNetwork,
) -> tuple[str, str]:
    """Find the proxy to plan by, of several: the one whose plan loses least on the network.

    Those that cannot score the network, or whose scores cannot rank, stay out of the race.

    Args:
        tables: By name of the proxy, what computes its scores, (decisions, bits).
        space: What plans may choose.
        budgets: What they must keep.
        network: Measures.

    Returns:
        Its name, and what to say of the race; nothing where no plan is within the budgets.

    Raises:
        GpEmqError: None of them gives a plan, or as `contest` says.
    """
    plans, without = {}, {}
    for name, table in tables.items():
        try:
            choice = Problem.of(table(), space, budgets).best()
        except GpEmqError as error:
            without[name] = error
            continue
        if choice is None:
            return name, ""  # the budgets cannot be met, which solving says in detail
        plans[name] = choice.configuration
    if not plans:
        raise next(iter(without.values()))
    found = contest(plans, network)
    lines = [f"{name} gives no plan: {error}" for name, error in without.items()]
    return found.winner, "; ".join([format_contest(found), *lines])
