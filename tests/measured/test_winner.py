"""The plans of proxies race, and one width beside them."""

import numpy as np
import pytest
from stand_in import StandIn, problem_of

from gp_emq.allocation import CostSettings, solve
from gp_emq.errors import AllocationError, StatisticsError
from gp_emq.measured import winner_of

HARMS = np.outer([1.0, 5.0, 0.2, 2.0], [0.09, 0.03, 0.01])
UPSIDE_DOWN = -HARMS[::-1] - [[0.3, 0.2, 0.1], [0, 0, 0], [0.5, 0.2, 0.1], [0, 0, 0]]


def raced(**tables):
    first = problem_of(next(iter(tables.values())))
    given = {name: lambda table=table: table for name, table in tables.items()}
    return winner_of(given, first.space, first.budgets, StandIn(HARMS)), first


def test_a_proxy_that_knows_the_harms_beats_one_width() -> None:
    winner, problem = raced(upside_down=UPSIDE_DOWN, knowing=-HARMS)
    assert (winner.proxy, winner.one_width) == ("knowing", None)
    assert "3 plans of 2 proxies and of one width raced by loss: knowing " in winner.said
    plan = solve(problem, CostSettings())
    assert winner.taken(plan, problem, CostSettings()) is plan


def test_one_width_wins_where_no_proxy_knows_better() -> None:
    winner, problem = raced(upside_down=UPSIDE_DOWN)
    assert (winner.proxy, winner.one_width) == ("upside_down", (3, 3, 3, 3))
    assert winner.said.endswith("; the plan is one width everywhere")
    settings = CostSettings()
    alone = solve(problem, settings)
    plan = winner.taken(alone, problem, settings)
    assert plan.configuration == (3, 3, 3, 3)
    assert plan.measures.average_bits == 3
    # What the table's best scores above it, which the table then says of the gap.
    assert plan.gap == alone.gap + alone.score - plan.score > 0


def test_a_proxy_that_plans_one_width_is_named() -> None:
    flat = -np.outer([1.0, 1.0, 1.0, 1.0], [0.09, 0.03, 0.01])
    winner, _ = raced(flat=flat)
    assert (winner.proxy, winner.one_width) == ("flat", None)
    assert "flat = one width" in winner.said


def test_proxies_that_give_no_plan_for_one_reason_are_told_together() -> None:
    def failing() -> np.ndarray:
        raise StatisticsError("no second derivative")

    first = problem_of(-HARMS)
    given = {"one": failing, "knowing": lambda: -HARMS, "other": failing}
    winner = winner_of(given, first.space, first.budgets, StandIn(HARMS))
    assert winner.said.endswith("; one, other give no plan: no second derivative")
    del given["knowing"]
    with pytest.raises(StatisticsError, match=r"^no second derivative$"):
        winner_of(given, first.space, first.budgets, StandIn(HARMS))
    given["flat"] = lambda: np.zeros_like(HARMS)
    with pytest.raises(AllocationError, match=r"^one, other give no plan: no sec.*; flat gives no"):
        winner_of(given, first.space, first.budgets, StandIn(HARMS))
