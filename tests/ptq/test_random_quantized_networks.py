"""Laws that hold for every network, tried on small awkward ones."""

import copy
import math
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import (
    EXACT,
    Conditional,
    Recipe,
    Reused,
    SequenceFirst,
    Windows,
    everything_of,
    recipes,
    same,
)
from reference_quantizer import reference

import gp_emq
from gp_emq.export import load_quantized, save_packed
from gp_emq.networks import find_layers, size_table
from gp_emq.quantization import WeightQuantizer, _calibration

PER_CHANNEL = WeightQuantizer(per_channel=True, scale_rule="minmax")
CALLED = tuple(block for block in EXACT if block is not Conditional)


def plan_of(network, images):
    layers = find_layers(network, images)
    widths = {}
    for layer in layers:
        owner = layer.shares or layer.name
        widths[layer.name] = widths.get(owner, 2 + layer.depth % 7)
    return layers, widths


@settings(max_examples=20, deadline=None)
@given(recipes(dtypes=(torch.float32, torch.float64, torch.bfloat16)), st.sampled_from([32, 8]))
def test_rounding_to_nearest_is_that_of_an_independent_fake_quantizer(recipe, activation_bits):
    network, (images, _) = recipe.network(), recipe.batch()
    if Conditional in recipe.blocks and activation_bits == 8:
        activation_bits = 32  # an image may call no such layer
    _, widths = plan_of(network, images)
    before, own = everything_of(network), images.clone()
    quantized = gp_emq.quantize(
        network,
        widths,
        images,
        quantizer=PER_CHANNEL,
        activation_bits=activation_bits,
        activation_rule="minmax",
        method="rtn",
    )
    assert same(before, everything_of(network))
    assert torch.equal(own, images)
    expected = reference(network, widths, images, 32)
    for name in widths:
        mine = quantized.network.get_submodule(name).weight
        torch.testing.assert_close(mine, expected.get_submodule(name).weight, rtol=1e-6, atol=1e-9)
    with torch.no_grad():
        found = quantized(images)
        right = reference(network, widths, images, activation_bits)(images.float().clone())
    assert found.dtype == recipe.dtype
    assert torch.equal(own, images)
    # An input that lies between two grid values to the last digit may go to either.
    rough = 0.02 if activation_bits == 8 else 1e-5
    rough = max(rough, 1e-2) if recipe.dtype is torch.bfloat16 else rough
    torch.testing.assert_close(found.float(), right, rtol=rough, atol=rough)


@settings(max_examples=10, deadline=None)
@given(recipes(dtypes=(torch.float32, torch.float16, torch.float64)))
def test_packed_files_take_what_is_counted_and_give_the_same(recipe):
    network, (images, _) = recipe.network(), recipe.batch()
    layers, widths = plan_of(network, images)
    quantized = gp_emq.quantize(network, widths, images, activation_bits=32, method="rtn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "packed.safetensors"
        report = save_packed(quantized, layers, path)
        again = load_quantized(path, network)
    assert torch.equal(again(images), quantized(images))
    assert again(images).dtype == recipe.dtype
    network = recipe.reference()
    distinct = {id(network.get_submodule(name).weight): name for name in reversed(list(widths))}
    counted = 0
    for name in distinct.values():
        weight = network.get_submodule(name).weight
        counted += math.ceil(weight.numel() * widths[name] / 8) + 4 * len(weight)
    biases = {id(m.bias): m.bias for m in map(network.get_submodule, widths) if m.bias is not None}
    counted += sum(4 * bias.numel() for bias in biases.values())
    assert sum(r.weight_bytes + r.grid_bytes + r.bias_bytes for r in report.layers) == counted
    table = size_table(
        layers, range(2, 9), "stored", granularity=PER_CHANNEL.granularity, symmetric=True
    )
    by_entry = {layer.entry: widths[layer.name] for layer in layers}
    chosen = sum(table[entry, bits - 2] for entry, bits in by_entry.items())
    # Four numbers for each channel of a batch norm, whatever it follows.
    assert report.accounted_bytes == chosen
    # A layer that no image calls is none of the layers.
    beside = report.norm_bytes + sum(report.other.values())
    assert report.beyond_accounting_bytes == beside - sum(
        16 * layer.batch_norm_channels for layer in layers
    )


@settings(max_examples=6, deadline=None)
@given(recipes(blocks=CALLED, most=2), st.sampled_from(["adaround", "brecq", "rtn+bn"]))
def test_learning_rounds_to_grids_and_leaves_the_network_alone(recipe, method):
    network, (images, _) = recipe.network(), recipe.batch()
    _, widths = plan_of(network, images)
    before = everything_of(network)
    options = {} if method == "rtn+bn" else {"iterations": 3}
    quantized = gp_emq.quantize(network, widths, images, method=method, **options)
    assert same(before, everything_of(network))
    for name, weight in quantized.weights.items():
        assert torch.equal(quantized.network.get_submodule(name).weight, weight.values())
        grid = weight.parameters
        steps = network.get_submodule(name).weight.detach().float() / grid.scale
        inside = (steps > grid.quant_min) & (steps < grid.quant_max)
        assert ((weight.integers - steps).abs()[inside] <= 1).all()
    assert quantized(images).isfinite().all()


@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_grids_do_not_depend_on_how_many_images_go_through_at_once(monkeypatch, chunk):
    recipe = Recipe((Reused, SequenceFirst, Windows), images=6)
    network, (images, _) = recipe.network(), recipe.batch()
    _, widths = plan_of(network, images)
    whole = gp_emq.quantize(network, widths, images, activation_rule="minmax", method="rtn")
    monkeypatch.setattr(_calibration, "CHUNK", chunk)
    parts = gp_emq.quantize(
        copy.deepcopy(network), widths, images, activation_rule="minmax", method="rtn"
    )
    for name, grid in whole.activations.items():
        torch.testing.assert_close(parts.activations[name].scale, grid.scale, rtol=1e-6, atol=0)
