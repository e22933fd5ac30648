"""Which of several proxies to plan by: their plans race on the network itself."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gp_emq.allocation import Configuration
from gp_emq.errors import AllocationError
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._race import SHARES, Difference, mean_of, race
from gp_emq.measured._search import halves


@dataclass(frozen=True)
class Contest:
    """What came of a race between the plans of several proxies.

    Attributes:
        winner: Name of the proxy whose plan loses least.
        losses: By name, what its plan loses, the best first: first those that saw more samples. It
            is the mean over all that it saw, so that only those that saw as many compare.
        samples: By name, how many samples its plan saw before it was given up.
        plans: How many different plans there were.
    """

    winner: str
    losses: Mapping[str, Difference]
    samples: Mapping[str, int]
    plans: int


def contest(
    plans: Mapping[str, Configuration],
    network: PlanNetwork,
    progress: Callable[[int, int], None] | None = None,
) -> Contest:
    """Let plans of the same budgets race, on the samples that a search would search on.

    A proxy that plans well for one network may lose another, and nothing but the network says
    which it is. The race takes about half as many measurements as there are different plans. Of
    proxies that plan the same, the first is the winner.

    Args:
        plans: By name of the proxy.
        network: Measures.
        progress: Told how many measurements of plans of how many are done.

    Raises:
        AllocationError: There are no plans, too few samples, or every plan breaks the network.
    """
    if not plans:
        raise AllocationError("there are no plans to choose among")
    searched, _ = halves(network)
    seen = race(network, list(dict.fromkeys(plans.values())), searched, SHARES[1:], progress)
    fate = {plan: (len(losses), mean_of(losses)) for plan, losses in seen.items()}
    best = next(iter(seen))
    if not math.isfinite(fate[best][1].value):
        raise AllocationError(
            "the plans of all proxies break the network, whose outputs are not finite: allow wider "
            "bits"
        )
    order = sorted(
        plans,
        key=lambda name: (plans[name] != best, -fate[plans[name]][0], fate[plans[name]][1].value),
    )
    return Contest(
        winner=order[0],
        losses={name: fate[plans[name]][1] for name in order},
        samples={name: fate[plans[name]][0] for name in order},
        plans=len(seen),
    )
