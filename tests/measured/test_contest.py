"""Plans of several proxies race, and the best wins."""

import itertools

import numpy as np
import pytest
from stand_in import BITS, StandIn

from gp_emq.errors import AllocationError
from gp_emq.measured._contest import contest

HARMS = np.outer([1.0, 5.0, 0.2, 2.0], [0.09, 0.03, 0.01])
PLANS = {
    "bad": (2, 2, 4, 4),
    "good": (3, 4, 2, 3),
    "the same": (3, 4, 2, 3),
    "worst": (2, 2, 2, 2),
    "middling": (3, 3, 3, 3),
}


@pytest.mark.parametrize("order", list(itertools.permutations(PLANS)))
def test_the_plan_that_loses_least_wins_whatever_the_order(order: tuple[str, ...]) -> None:
    network = StandIn(HARMS, noise=1.0)
    found = contest({name: PLANS[name] for name in order}, network)
    # Of two that plan the same the first is named.
    assert found.winner == next(name for name in order if name in {"good", "the same"})
    assert found.plans == 4
    assert next(iter(found.losses)) == found.winner
    assert {*found.losses} == {*PLANS}
    # Half of 256 samples choose; of four plans two are given up after a quarter of them.
    assert sorted(found.samples.values()) == [32, 32, 64, 128, 128]
    shared = np.random.default_rng(0).standard_normal(256)[:128].mean()
    assert found.losses["good"].value == pytest.approx(
        network.true_loss(PLANS["good"]) + shared, abs=1e-12
    )


@pytest.mark.parametrize("count", range(1, 12))
def test_a_race_tells_how_far_it_is(count: int) -> None:
    plans = list(itertools.product(BITS, repeat=4))[:count]
    told: list[tuple[int, int]] = []
    contest(
        dict(zip(map(str, plans), plans, strict=True)), StandIn(HARMS), lambda *at: told.append(at)
    )
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert {total for _, total in told} == {len(told)}


class Breaking(StandIn):
    """Gives no numbers for plans with a layer at the least width."""

    def answers(self, configuration, stop):
        found = super().answers(configuration, stop)
        if BITS[0] in configuration:
            found.losses[:] = np.nan
        return found


def test_a_plan_that_breaks_the_network_does_not_win() -> None:
    network = Breaking(HARMS)
    assert contest(PLANS, network).winner == "middling"
    with pytest.raises(AllocationError, match="the plans of all proxies break the network"):
        contest({"bad": PLANS["bad"], "good": PLANS["good"]}, network)


def test_a_race_needs_plans_and_samples() -> None:
    with pytest.raises(AllocationError, match="no plans to choose among"):
        contest({}, StandIn(HARMS))
    with pytest.raises(AllocationError, match="at least 32 samples"):
        contest(PLANS, StandIn(HARMS, count=31))
