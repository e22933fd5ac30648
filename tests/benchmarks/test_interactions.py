"""Pairwise terms: measured, and what configurations they predict."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from benchmarks import interactions
from gp_emq.ranking import RankedBench


def test_harms_are_sums_over_entries_and_pairs() -> None:
    single = np.array([[4.0, 1.0], [9.0, 0.0], [1.0, 0.25]])
    pairs = np.array([[0.0, 2.0, 6.0], [2.0, 0.0, -1.0], [6.0, -1.0, 0.0]])
    places = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 1]])
    found = interactions.harms(single, pairs, places)
    # Amplitudes: 1, ½ of the first; 1, 0 of the second; 1, ½ of the third.
    assert found["additive"] == pytest.approx([14.0, 10.25, 1.25])
    assert found["neighbours"] == pytest.approx([14 + 2 - 1, 10.25 + 0.5 * 2 - 0.5, 1.25])
    assert found["all pairs"] == pytest.approx(
        [14 + 2 + 6 - 1, 10.25 + 0.5 * 2 + 0.25 * 6 - 0.5, 1.25 + 0.25 * 6]
    )


def test_pairs_are_measured_beyond_both_alone() -> None:
    target = RankedBench.load("plain-digits-rtn-channel", weights=None, data=(), cache=None)
    statistics = target.proxy_inputs(calibration_seed=0).statistics
    context = cast("Any", statistics._source)._context
    single, pairs = interactions.divergences(context)
    assert single == pytest.approx(statistics.tensor("measured_divergence").numpy(), rel=1e-5)
    assert (pairs == pairs.T).all()
    assert not np.diag(pairs).any()
    # One pair by hand: quantized weights put into the network itself.
    model, images = target.inputs.network.model, context.batch.images
    layers = target.inputs.network.layers
    with torch.no_grad():
        plain = torch.log_softmax(model(images).double(), 1)
        kept = [model.get_submodule(layers[place].name).weight for place in (2, 5)]
        before = [weight.detach().clone() for weight in kept]
        for weight in kept:
            weight.copy_(_rounded(weight, target))
        moved = torch.log_softmax(model(images).double(), 1)
        for weight, old in zip(kept, before, strict=True):
            weight.copy_(old)
    both = float((plain.exp() * (plain - moved)).sum(1).mean())
    assert pairs[2, 5] == pytest.approx(both - single[2, 0] - single[5, 0], rel=1e-4)


def _rounded(weight: torch.Tensor, target: RankedBench) -> torch.Tensor:
    grid = target.inputs.quantizer.parameters(weight.detach(), 2)
    steps = (weight / grid.scale).round() + grid.zero_point
    return (steps.clamp(grid.quant_min, grid.quant_max) - grid.zero_point) * grid.scale
