"""Benches of networks that people have, against an independent fake-quantizer."""

import numpy as np
import pytest
import torch
from random_networks import (
    AWKWARD,
    Grouped,
    Kept,
    Recipe,
    Tied,
    everything_of,
    same,
)
from reference_quantizer import reference
from torch import nn
from torch.nn import functional

from gp_emq.errors import DataError, StatisticsError
from gp_emq.mqbench import MeasurementSettings, build_bench, find_protocol, read_bench
from gp_emq.networks import Workload, find_layers
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedNetwork,
    WeightQuantizer,
    calibrate_activations,
    integer_convolution_available,
)
from gp_emq.quantization._quantized_network import quantize_weights

CALIBRATION, COUNT, CONFIGURATIONS = 8, 32, 5
KINDS = (*AWKWARD, Kept, Grouped)
PROTOCOL = find_protocol("rtn").with_options(
    per_channel=True, scale_rule="minmax", calibration_images=CALIBRATION
)


def made(*blocks):
    recipe = Recipe(blocks, images=COUNT, seed=3)
    network, (images, labels) = recipe.network(), recipe.batch()
    # Labels that half of the images get right, so that accuracies say something.
    with torch.no_grad():
        right = recipe.reference()(images.clone()).argmax(1)
    return network, images, torch.where(torch.arange(COUNT) % 2 == 0, right, labels)


def settings(workload, **changes):
    usual = {
        "network": "own", "weights": None, "data": (), "protocol": PROTOCOL, "bits": (2, 3, 8),
        "tests": None, "seed": 0, "arithmetic": "float", "workload": workload,
    }  # fmt: skip
    return MeasurementSettings(**{**usual, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_which_images_are_right_is_what_an_independent_fake_quantizer_says(kind, tmp_path):
    network, images, labels = made(kind)
    before, pictures = everything_of(network), images.clone()
    out = tmp_path / "own.safetensors"
    build_bench(settings(Workload(network, images, labels)), count=CONFIGURATIONS, out=out)
    assert same(before, everything_of(network))
    assert torch.equal(images, pictures)
    bench = read_bench(out)
    order = np.random.default_rng((0, 0)).permutation(COUNT)
    calibration, test = order[:CALIBRATION], np.sort(order[CALIBRATION:])
    layers = find_layers(network, images)
    certain = 0
    for row, right in zip(bench.configurations, bench.correctness(), strict=True):
        widths = {layer.name: int(row[layer.entry]) for layer in layers}
        quantized = reference(network, widths, images[calibration], 8)
        with torch.no_grad():
            logits = quantized(images[test].clone())
        top = logits.topk(2, dim=1).values
        # An input between two grid values to the last digit may go to either.
        clear = ((top[:, 0] - top[:, 1]) > 0.02 * logits.abs().max()).numpy()
        expected = (logits.argmax(1) == labels[test]).numpy()
        assert np.array_equal(right[clear], expected[clear])
        certain += int(clear.sum())
    assert certain > 0.5 * CONFIGURATIONS * len(test)


@pytest.mark.skipif(not integer_convolution_available(), reason="no 8-bit convolution here")
@pytest.mark.parametrize("kind", [*KINDS, "used by its parent"])
def test_integers_give_what_an_independent_fake_quantizer_does(kind):
    network, images, _ = made(*(() if isinstance(kind, str) else (kind,)))
    if isinstance(kind, str):
        network = UsedByItsParent().eval()
    layers = find_layers(network, images)
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax")
    weights = quantize_weights(network, layers, (2, 8), quantizer)
    grids = calibrate_activations(network, layers, images, ActivationQuantizer())
    bench = QuantizedNetwork(network, layers, weights, grids, integer=True)
    entries = 1 + max(layer.entry for layer in layers)
    for row in ([2] * entries, [8] * entries, [2 + 6 * (index % 2) for index in range(entries)]):
        bench.configure(row)
        widths = {layer.name: row[layer.entry] for layer in layers}
        with torch.no_grad():
            right = reference(network, widths, images, 8)(images.clone())
        torch.testing.assert_close(bench.logits(images), right, rtol=0.03, atol=0.03)


class UsedByItsParent(nn.Module):
    """Calls a convolution, and uses its weight without calling it."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 3)

    def forward(self, x):
        x = self.conv(x).tanh()
        x = functional.conv2d(x, self.conv.weight, padding=self.conv.padding)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("label", [3, 99, -1])
def test_labels_that_are_no_classes_are_refused_before_anything_is_built(label, tmp_path):
    network, images, labels = made(Tied)
    labels[5] = label
    with pytest.raises(DataError, match="labels must be 0 to 2") as error:
        build_bench(
            settings(Workload(network, images, labels)), count=2, out=tmp_path / "b.safetensors"
        )
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labelled", [True, False])
def test_one_logit_is_refused_before_anything_is_built(labelled, tmp_path):
    network, images, labels = made()
    network.head = nn.Linear(4, 1)
    given = Workload(network, images, labels if labelled else None)
    with pytest.raises((DataError, StatisticsError), match="classes") as error:
        build_bench(settings(given), count=2, out=tmp_path / "b.safetensors")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


class Drifts(nn.Module):
    """Adds what it has seen so far to what it sees."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 2)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        x = x + self.seen
        self.seen += 1
        return self.head(self.conv(x).relu().mean((2, 3)))


@pytest.mark.parametrize("integer", [False, True])
def test_what_a_pass_leaves_in_a_network_changes_no_other(integer):
    if integer and not integer_convolution_available():
        pytest.skip("no 8-bit convolution here")
    network, images = Drifts(), torch.randn(16, 1, 6, 6)
    layers = find_layers(network, images)
    weights = quantize_weights(network, layers, (2, 8), WeightQuantizer(per_channel=True))
    grids = calibrate_activations(network, layers, images, ActivationQuantizer())
    bench = QuantizedNetwork(network, layers, weights, grids, integer=integer)
    bench.configure([8, 8])
    first = bench.logits(images)
    with torch.no_grad():
        torch.testing.assert_close(first, network(images), rtol=0.03, atol=0.03)
    assert torch.equal(bench.logits(images), first)
