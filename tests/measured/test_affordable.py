"""What races by default depends on what the network costs, counted."""

from dataclasses import replace

import pytest

from gp_emq.measured import CONTENDERS, affordable
from gp_emq.measured._affordable import CURVATURE_PASSES, FEW_PASSES, MOST_MACS, _passes
from gp_emq.networks import Layer
from gp_emq.proxies.loading import expression_proxy, load_proxy

PROXIES = {name: load_proxy(name) for name in CONTENDERS}
QUICK = ("fit_diagonal", "fit_trace", "model_optimizer")


def layers(count: int, macs: float) -> list[Layer]:
    one = Layer("l", "Linear", (10, 10), 100, 0, 100, 0, 0)
    return [replace(one, name=f"l{at}", entry=at, macs=int(macs)) for at in range(count)]


def test_passes_are_counted_by_what_a_proxy_sees() -> None:
    assert {_passes(PROXIES[name], 60) for name in QUICK} == {FEW_PASSES}
    assert _passes(load_proxy("hawq_v2"), 60) == FEW_PASSES + CURVATURE_PASSES
    assert _passes(expression_proxy("recipe_divergence"), 60) == FEW_PASSES + 60
    both = expression_proxy("add(recipe_divergence, recipe_divergence_low)")
    assert _passes(both, 60) == FEW_PASSES + 2 * 60


def test_what_never_takes_long_always_races_and_the_rest_where_it_takes_minutes() -> None:
    small = affordable(PROXIES, layers(20, 2e6), widths=3, samples=256)
    assert small == CONTENDERS
    assert affordable(PROXIES, layers(20, 1e12), widths=3, samples=256) == QUICK
    # Where only what is measured takes too long, the others stay.
    passes = {name: _passes(PROXIES[name], 100 * 4) for name in CONTENDERS}
    macs = MOST_MACS / passes["gp-gradient"] / 256 / 100
    chosen = affordable(PROXIES, layers(100, macs), widths=4, samples=256)
    assert chosen == ("gp-gradient", *QUICK)


@pytest.mark.parametrize("samples", [1, 256])
def test_tied_layers_are_measured_once(samples: int) -> None:
    tied = [replace(layer, entry=0) for layer in layers(50, 1)]
    assert affordable(PROXIES, tied, widths=3, samples=samples) == CONTENDERS
