"""Pairs measured around a plan, on networks whose losses are known."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
from stand_in import BITS, StandIn, problem_of

from gp_emq.allocation import Configuration
from gp_emq.errors import AllocationError
from gp_emq.measured._interactions import interact
from gp_emq.measured._text import format_interactions

HARMS = np.outer([1.0, 1.2, 0.8, 1.1, 0.9, 1.0], [0.4, 0.2, 0.1])
START = (3, 3, 3, 3, 3, 3)


@dataclass
class Together(StandIn):
    """Adds, for each pair of entries, a multiple of the product of both of their harms."""

    pairs: dict[tuple[int, int], float] = field(default_factory=dict)

    def true_loss(self, configuration: Configuration) -> float:
        own = [self.harms[entry, BITS.index(width)] for entry, width in enumerate(configuration)]
        return 2.0 + sum(own) + sum(w * own[a] * own[b] for (a, b), w in self.pairs.items())


def cheapest(network: Together, problem) -> Configuration:
    plans = [plan for plan in itertools.product(BITS, repeat=6) if problem.fits(plan)]
    return min(plans, key=network.true_loss)


@pytest.mark.parametrize("reach", ["all", "neighbours"])
def test_pairs_that_matter_are_found_and_planned_by(reach: str) -> None:
    pairs = {(0, 1): 9.0, (2, 3): -1.5, (4, 5): 6.0}  # neighbours all
    problem, network = problem_of(-HARMS), Together(HARMS, pairs=pairs)
    found = interact(problem, START, network, reach=reach)
    assert found.used
    assert found.tau.value > 0.99 > found.single_tau.value
    assert found.best == found.tried
    assert network.true_loss(found.best) == pytest.approx(
        network.true_loss(cheapest(network, problem))
    )
    entries = 15 if reach == "all" else 5
    assert found.pairs == entries
    assert found.measured == 16 + 6 * 2 + entries * 4
    assert "pairs are used; the plan by them is kept" in format_interactions(found)


@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_that_are_noise_are_not_used(seed: int) -> None:
    """Losses add up, but each plan has noise of its own, of which a term for a pair has four."""
    problem, network = problem_of(-HARMS), Together(HARMS, own_noise=0.2)
    found = interact(problem, START, network, reach="all", seed=seed)
    assert not found.used
    assert found.single_tau.value >= found.tau.value
    assert "pairs are not used" in format_interactions(found)


def test_a_plan_that_is_no_better_where_nothing_was_chosen_is_not_kept() -> None:
    problem = problem_of(-HARMS)
    network = Together(HARMS, noise=0.0)
    start = cheapest(network, problem)
    found = interact(problem, start, network, reach="neighbours")
    assert found.best == start


def test_too_few_plans_are_an_error() -> None:
    one = problem_of(-HARMS[:1])
    with pytest.raises(AllocationError, match="differ from the table's in more than two layers"):
        interact(one, START[:1], StandIn(HARMS[:1]), reach="all")
