"""Pairwise terms: measured, and what configurations they predict."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from benchmarks import interactions
from gp_emq.ranking import RankedBench


def test_harms_are_sums_over_entries_and_pairs() -> None:
    single = np.array([[4.0, 1.0], [9.0, 0.0], [1.0, 0.25]])
    pairs = np.zeros((3, 2, 3, 2))
    for one, other, harm in ((0, 1, 2.0), (0, 2, 6.0), (1, 2, -1.0)):
        pairs[one, 0, other, 0] = pairs[other, 0, one, 0] = harm
    pairs[0, 1, 1, 0] = pairs[1, 0, 0, 1] = 0.75
    places = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1]])
    found = interactions.harms(
        interactions.Divergences(single, pairs), interactions.Divergences(2 * single, pairs), places
    )
    # Amplitudes: 1, ½ of the first; 1, 0 of the second; 1, ½ of the third.
    assert found["additive"] == pytest.approx([14.0, 10.25, 1.25])
    assert found["neighbours"] == pytest.approx([14 + 2 - 1, 10.25 + 0.5 * 2 - 0.5, 1.25])
    assert found["all pairs"] == pytest.approx(
        [14 + 2 + 6 - 1, 10.25 + 0.5 * 2 + 0.25 * 6 - 0.5, 1.25 + 0.25 * 6]
    )
    # No amplitudes: what was measured of just these widths.
    assert found["each width"] == pytest.approx([14 + 2 + 6 - 1, 10.25 + 0.75, 1.25])
    assert found["at the middle"] == pytest.approx([28 + 2 + 6 - 1, 20.5 + 0.75, 2.5])


def test_pairs_beside_a_proxy_count_where_half_of_the_configurations_say_so() -> None:
    generator = np.random.default_rng(0)
    proxy, pairs = generator.standard_normal((2, 60))
    every = ~np.eye(60, dtype=bool)
    # Values that are the proxy's scores less twice the pairs: 1.6 of a deviation comes nearest.
    with_them = interactions.beside(proxy, pairs, proxy - 2 * pairs, every)
    assert with_them > 0.85 > kendalltau(proxy, proxy - 2 * pairs).statistic + 0.2
    # Values that have nothing of them: no multiple is best, and is found.
    assert interactions.beside(proxy, pairs, proxy, every) == 1.0


def test_shares_are_of_what_two_make_alone() -> None:
    pairs = np.zeros((2, 2, 2, 2))
    pairs[0, 0, 1, 0] = pairs[1, 0, 0, 0] = 3.0
    found = interactions.Divergences(np.array([[4.0, 1.0], [2.0, 0.0]]), pairs)
    assert interactions.shares(found, (2, 4)) == {"share at 2": 0.5, "share at 4": 0.0}


@pytest.mark.parametrize("base", [None, 1])
def test_pairs_are_measured_beyond_both_alone(base: int | None) -> None:
    target = RankedBench.load("plain-digits-rtn-channel", weights=None, data=(), cache=None)
    statistics = target.proxy_inputs(calibration_seed=0).statistics
    context = cast("Any", statistics._source)._context
    found = interactions.divergences(context, base)
    if base is None:
        expected = statistics.tensor("measured_divergence").numpy()
        assert found.single == pytest.approx(expected, rel=1e-5)
    assert (found.pairs == found.pairs.transpose(2, 3, 0, 1)).all()
    assert not np.diagonal(found.pairs, axis1=0, axis2=2).any()
    # One pair by hand: quantized weights put into the network itself.
    bits = target.bench.bits
    start = {} if base is None else dict.fromkeys(range(8), bits[base])
    moved = _divergence(target, context, start | {2: bits[0], 5: bits[1]})
    alone = [
        _divergence(target, context, start | changed) for changed in ({2: bits[0]}, {5: bits[1]})
    ]
    expected = moved - sum(alone) + _divergence(target, context, start)
    assert found.pairs[2, 0, 5, 1] == pytest.approx(expected, rel=1e-4)


def _divergence(target: RankedBench, context: Any, widths: dict[int, int]) -> float:
    model, images = target.inputs.network.model, context.batch.images
    layers = target.inputs.network.layers
    kept = {place: model.get_submodule(layers[place].name).weight for place in widths}
    with torch.no_grad():
        plain = torch.log_softmax(model(images).double(), 1)
        before = {place: weight.detach().clone() for place, weight in kept.items()}
        for place, weight in kept.items():
            weight.copy_(_rounded(weight, target, widths[place]))
        moved = torch.log_softmax(model(images).double(), 1)
        for place, weight in kept.items():
            weight.copy_(before[place])
    return float((plain.exp() * (plain - moved)).sum(1).mean())


def _rounded(weight: torch.Tensor, target: RankedBench, bits: int) -> torch.Tensor:
    grid = target.inputs.quantizer.parameters(weight.detach(), bits)
    steps = (weight / grid.scale).round() + grid.zero_point
    return (steps.clamp(grid.quant_min, grid.quant_max) - grid.zero_point) * grid.scale
