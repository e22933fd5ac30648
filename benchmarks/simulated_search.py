"""A search laid out on a simulated cluster, generation by generation, and what it comes to."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.simulated import Account, Cluster, CostlyJob, SimulatedClock, SimulatedCluster
from gp_emq.farm import Farm, lay_out

FORMULAS, NETWORKS = 1_000_000, 50
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a search is laid out.

    Args:
        population: Formulas of a generation; the next one waits for all of them.
        generations: How many are simulated, of which the whole search is scaled up.
        per_network: Seconds that a formula takes on a network on average.
        spread: Of the logarithm of what formulas take.
        foresight: Of the logarithm of how far what is foreseen of a formula is from what it takes.
        ranking: Seconds to rank the configurations of all networks for a formula.
        ranking_here: Whether the one process with the dispatcher does that.
        here: Seconds that it takes for a formula besides.
        per_task: Formulas of a task; None for one share of about equal cost for each worker.
        networks_apart: Whether items are of one formula on one network: each a task, or, without
            `per_task`, laid out as a search does.
    """

    population: int = 1000
    generations: int = 3
    per_network: float = 0.02
    spread: float = 0.8
    foresight: float = 0.3
    ranking: float = 0.0
    ranking_here: bool = True
    here: float = 0.0
    per_task: int | None = None
    networks_apart: bool = False

    @property
    def in_one_process(self) -> float:
        """Seconds that the one process takes for a formula, messages aside."""
        return self.here + (self.ranking if self.ranking_here else 0.0)

    @property
    def hours_of_work(self) -> float:
        """Hours that one worker would take for all formulas, without anything else."""
        here = 0.0 if self.ranking_here else self.ranking
        return FORMULAS * (NETWORKS * self.per_network + here) / HOUR


@dataclass(frozen=True)
class Course:
    """What a search comes to.

    Args:
        hours: Of the whole search.
        shares: Of the workers' time, by what it goes to.
        messages: Share of the time in which the one process sends and receives.
        ranking: Share of the time in which it ranks, or does what else it does with formulas.
        tasks: Of a generation.
    """

    hours: float
    shares: dict[str, float]
    messages: float
    ranking: float
    tasks: int


def costs_of(plan: Plan, generation: int) -> list[float]:
    """Seconds of the items of a generation."""
    draw = random.Random(f"costs {generation}")
    typical = NETWORKS * plan.per_network
    # The mean of a lognormal is exp(spread² / 2) times its median.
    centre = -(plan.spread**2) / 2
    whole = [typical * draw.lognormvariate(centre, plan.spread) for _ in range(plan.population)]
    if not plan.ranking_here:
        whole = [cost + plan.ranking for cost in whole]
    if plan.networks_apart:
        return [cost / NETWORKS for _ in range(NETWORKS) for cost in whole]
    return whole


def shares_of(plan: Plan, items: Sequence[float], pieces: int) -> list[tuple[int, ...]]:
    """Lay items out as a search does."""
    count = plan.population if plan.networks_apart else len(items)
    groups = [range(start, start + count) for start in range(0, len(items), count)]
    draw = random.Random("foresight")
    foreseen = [item * draw.lognormvariate(0, plan.foresight) for item in items]
    if not plan.networks_apart:
        return share_of_equals(groups[0], pieces, foreseen)
    return lay_out(
        groups, [1.0] * len(groups), pieces,
        lambda places, tasks: share_of_equals(places, tasks, foreseen),
    )  # fmt: skip


def share_of_equals(
    places: Sequence[int], tasks: int, foreseen: Sequence[float]
) -> list[tuple[int, ...]]:
    """Share places out: the dearest first, to whichever task should end soonest."""
    parts: list[list[int]] = [[] for _ in range(min(tasks, len(places)))]
    ends = [(0.0, part) for part in range(len(parts))]
    for place in sorted(places, key=lambda place: -foreseen[place]):
        end, soonest = ends[0]
        parts[soonest].append(place)
        heapq.heapreplace(ends, (end + foreseen[place], soonest))
    return [tuple(part) for part in parts]


def simulate(like: Cluster, plan: Plan) -> Course:
    """Simulate some generations of a search, and scale them up.

    Those before the last worker is set up do not count: a long search forgets them.
    """
    clock = SimulatedClock()
    cluster = SimulatedCluster(like, clock)
    farm = Farm(
        [CostlyJob()], workers=cluster, clock=clock, task_timeout=None,
        share=lambda items, pieces: shares_of(plan, items, pieces),
    )  # fmt: skip
    ready = like.set_up * max(like.slowness, 1.0)
    generation, counted, begun = 0, 0, 0.0
    with farm:
        while counted < plan.generations:
            if not counted and clock.now() >= ready:
                begun, cluster.account = clock.now(), Account()
            counted += clock.now() >= ready
            costs = costs_of(plan, generation)
            # What the first network rejects is not asked of the others, which wait for it.
            first = plan.population if plan.networks_apart else len(costs)
            for items in (costs[:first], costs[first:]):
                for _ in farm.stream(items, items_per_task=plan.per_task):
                    pass
            clock.sleep(plan.in_one_process * plan.population)
            generation += 1
    return _course(plan, like, clock.now() - begun, cluster.account)


def _course(plan: Plan, like: Cluster, seconds: float, account: Account) -> Course:
    of_workers = seconds * like.workers
    shares = {
        "evaluating": account.worked / of_workers,
        "lost work": account.lost / of_workers,
        "set-up": account.set_up / of_workers,
    }
    shares["waiting"] = max(0.0, 1 - sum(shares.values()))
    formulas = plan.population * plan.generations
    ranking = plan.in_one_process * formulas
    return Course(
        seconds * FORMULAS / formulas / HOUR,
        shares,
        account.dispatched / seconds,
        ranking / seconds,
        round(account.tasks / plan.generations),
    )
