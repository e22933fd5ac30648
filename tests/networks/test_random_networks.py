"""Laws that hold for every network, each against brute force on the network itself."""

import copy
import math
import os
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_networks import (
    EXACT,
    Autocast,
    Conditional,
    Recipe,
    everything_of,
    recipes,
    reference_of,
    same,
)
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.networks import find_layers, float_sizes, weight_layers
from gp_emq.proxies.handcrafted import HANDCRAFTED

BITS = (2, 4)
EXAMPLES = int(os.environ.get("GP_EMQ_TEST_EXAMPLES", "6"))


def double(recipe):
    """The network as it answers, in float64, and its batch."""
    images, labels = recipe.batch()
    return recipe.reference(torch.float64), images.float().double(), labels


def owners(network, layers):
    return [network.get_submodule(layer.name).weight for layer in weight_layers(layers)]


def loss_of(network, images, labels):
    return functional.cross_entropy(network(images.clone()).double(), labels)


def assert_close(found, expected, tolerance=1e-4):
    for one, other in zip(found, expected, strict=True):
        scale = float(other.abs().max())
        assert float((one.double() - other).abs().max()) <= tolerance * scale + 1e-12


def collect(recipe, network=None, **settings):
    options = gp_emq.statistics.StatisticsSettings(**settings) if settings else None
    return gp_emq.collect_statistics(
        network or recipe.network(), *recipe.batch(), bits=BITS, settings=options
    )


def by_entry(statistics, name):
    """Views of a statistic by name of the layer, whatever the order of the buffers."""
    layout = statistics.layout("Weights")
    layers = weight_layers(sorted(statistics.layers, key=lambda layer: layer.entry))
    views = dict(
        zip([layer.name for layer in layers], layout.views(statistics.tensor(name)), strict=True)
    )
    return [views[layer.name] for layer in weight_layers(statistics.layers)]


@given(recipes(dtypes=(torch.float32, torch.float64, torch.bfloat16)))
@settings(max_examples=EXAMPLES)
def test_nothing_of_the_callers_changes(recipe):
    network, (images, labels) = recipe.network(), recipe.batch()
    next(iter(network.parameters())).requires_grad_(requires_grad=False)
    before, pictures, answers = everything_of(network), images.clone(), labels.clone()
    statistics = gp_emq.collect_statistics(network, images, labels, bits=BITS)
    # What no image may reach once the layers are quantized has no gradient there.
    refused = {"activation_gradient_low", "activation_gradient_middle"}
    routed = refused if Conditional in recipe.blocks else set()
    statistics.prepare(set(statistics.names) - routed)
    for name in ("fisher", "ompq", "qe", "relative_output_error", "loss_change"):
        gp_emq.load_proxy(name).table(statistics)
    assert same(before, everything_of(network))
    assert torch.equal(images, pictures)
    assert torch.equal(labels, answers)


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_gradients_fisher_and_curvature_are_those_of_brute_force(recipe):
    statistics = collect(recipe)
    network, images, labels = double(recipe)
    weights = owners(network, statistics.layers)
    options = {"create_graph": True, "materialize_grads": True}
    gradients = torch.autograd.grad(loss_of(network, images, labels), weights, **options)
    assert_close(by_entry(statistics, "weight_gradient"), [g.detach() for g in gradients])
    along = sum((one * one.detach()).sum() for one in gradients)
    product = torch.autograd.grad(along, weights, materialize_grads=True)
    assert_close(by_entry(statistics, "hessian_gradient"), product, 1e-3)
    squares = [torch.zeros_like(weight) for weight in weights]
    for index in range(len(images)):
        one = loss_of(network, images[index : index + 1], labels[index : index + 1])
        parts = torch.autograd.grad(one, weights, materialize_grads=True)
        squares = [
            total + part.square() / len(images) for total, part in zip(squares, parts, strict=True)
        ]
    assert_close(by_entry(statistics, "fisher_diagonal"), squares)


@given(recipes(most=2))
@settings(max_examples=EXAMPLES)
def test_every_statistic_is_independent_of_the_chunks(recipe):
    whole, single = collect(recipe), collect(recipe, chunk_images=1)
    for name in ("weight_gradient", "fisher_diagonal", "activation", "activation_gradient"):
        assert_close([whole.tensor(name)], [single.tensor(name).double()])
    assert whole.layout("Activations") == single.layout("Activations")


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_output_changes_are_those_of_the_layers_as_they_run(recipe):
    statistics = collect(recipe)
    table = gp_emq.load_proxy("output_error").table(statistics)
    network, images, _ = recipe.reference(), *recipe.batch()
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    names = [layer.name for layer in weight_layers(layers)]
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    changes = dict(zip(names, views, strict=True))
    expected = np.zeros_like(table)
    for layer in layers:
        module = network.get_submodule(layer.name)
        calls = []

        def record(_module, arguments, named, calls=calls):
            calls.append(copy.deepcopy((arguments, named)))

        handle = module.register_forward_pre_hook(record, prepend=True, with_kwargs=True)
        with torch.no_grad():
            for image in images.float().split(1):
                network(image.clone())
        handle.remove()
        for column in range(len(BITS)):
            changed = module.weight + changes[layer.shares or layer.name][column]
            with torch.no_grad():
                for fed, named in calls:
                    after = torch.func.functional_call(module, {"weight": changed}, fed, named)
                    error = (after - module(*fed, **named)).double().square().sum()
                    expected[layer.entry, column] -= float(error) / len(images)
    np.testing.assert_allclose(table, expected, rtol=1e-3, atol=1e-12)


def own_outputs(network, layer, images, change):
    """What a layer gives before hooks change it, as it is and with its weight moved."""
    module = network.get_submodule(layer.name)
    fed, given = [], []

    def record(_module, arguments, named):
        fed.append(copy.deepcopy((arguments, named)))

    def take(_module, _arguments, output):
        given.append(output.clone())

    handle = module.register_forward_pre_hook(record, prepend=True, with_kwargs=True)
    with torch.no_grad():
        for image in images.split(1):
            network(image.clone())
    handle.remove()
    handle = module.register_forward_hook(take, prepend=True)
    with torch.no_grad():
        for weight in (module.weight, module.weight + change):
            for arguments, named in fed:
                torch.func.functional_call(module, {"weight": weight}, arguments, named)
    handle.remove()
    flat = [x.reshape(-1).double() for x in given] or [torch.zeros(0, dtype=torch.float64)] * 2
    return torch.cat(flat[: len(flat) // 2]), torch.cat(flat[len(flat) // 2 :])


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_kept_output_changes_are_those_of_the_very_positions_of_the_activation(recipe):
    statistics = collect(recipe)
    network, images, _ = recipe.reference(), *recipe.batch()
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    layout = statistics.layout("ActivationsPerBit")
    outputs = layout.views(statistics.tensor("activation").double())
    changes = layout.views(statistics.tensor("output_change").double())
    for layer, output, change in zip(layers, outputs, changes, strict=True):
        for column in range(len(BITS)):
            moved = moves_of(statistics)[layer.name][column]
            before, after = own_outputs(network, layer, images.float(), moved)
            difference = after - before
            # Sums of products tell whether the positions are the same, whatever their order.
            for power in (0, 1, 3):
                found = float((output.reshape(-1) ** power * change[column].reshape(-1)).sum())
                scale = float((before.abs() ** power * difference.abs()).sum())
                expected = float((before**power * difference).sum())
                assert abs(found - expected) <= 1e-4 * scale + 1e-6


def moves_of(statistics):
    """Each layer's perturbation at every width, by name."""
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    owned = dict(zip([layer.name for layer in weight_layers(layers)], views, strict=True))
    return {layer.name: owned[layer.shares or layer.name] for layer in layers}


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_sums_over_outputs_are_those_of_all_positions(recipe):
    statistics = collect(recipe)
    network, images, _ = recipe.reference(), *recipe.batch()
    absolute, relative = np.zeros((2, *statistics.tensor("bits").shape))
    for layer in statistics.layers:
        for column, change in enumerate(moves_of(statistics)[layer.name]):
            before, after = own_outputs(network, layer, images.float(), change)
            error = float((after - before).square().sum())
            absolute[layer.entry, column] += error / len(images)
            relative[layer.entry, column] += error / max(1e-30, float(before.square().sum()))
    for name, expected in (
        ("output_change_energy", absolute),
        ("relative_output_change", relative),
    ):
        np.testing.assert_allclose(statistics.tensor(name), expected, rtol=1e-3, atol=1e-12)


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_sums_of_gradients_times_changes_are_those_of_single_images(recipe):
    statistics = collect(recipe)
    network, images, labels = double(recipe)
    moves = {name: change.double() for name, change in moves_of(statistics).items()}
    weights = owners(network, statistics.layers)
    form, weighted = np.zeros((2, *statistics.tensor("bits").shape))
    for index in range(len(images)):
        image, label = images[index : index + 1], labels[index : index + 1]
        gradients = torch.autograd.grad(
            loss_of(network, image, label), weights, materialize_grads=True
        )
        along = np.zeros_like(form)
        for layer, gradient in zip(weight_layers(statistics.layers), gradients, strict=True):
            along[layer.entry] += (moves[layer.name] * gradient).flatten(1).sum(1).numpy()
        form += along**2 / len(images)
        for layer in statistics.layers:
            given = []
            module = network.get_submodule(layer.name)

            def take(_module, _arguments, output, given=given):
                given.append(output)
                return output.clone()

            handle = module.register_forward_hook(take, prepend=True)
            loss = loss_of(network, image, label)
            handle.remove()
            if not given:
                continue
            slopes = torch.autograd.grad(loss, given, materialize_grads=True)
            slope = torch.cat([one.reshape(-1) for one in slopes])
            for column, change in enumerate(moves[layer.name]):
                before, after = own_outputs(network, layer, image, change)
                product = (slope * (after - before)).square().sum()
                weighted[layer.entry, column] += float(product) / len(images)
    for name, expected in (("fisher_form", form), ("gradient_output_change", weighted)):
        np.testing.assert_allclose(
            statistics.tensor(name), expected, rtol=1e-3, atol=1e-5 * expected.max()
        )


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_losses_with_an_entry_quantized_are_those_of_running_both_networks(recipe):
    statistics = collect(recipe)
    table = gp_emq.load_proxy("loss_change").table(statistics)
    network, images, labels = recipe.reference(), *recipe.batch()
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    with torch.no_grad():
        before = loss_of(network, images.float(), labels)
        for layer, change in zip(weight_layers(layers), views, strict=True):
            for column in range(len(BITS)):
                changed = reference_of(network)
                changed.get_submodule(layer.name).weight += change[column]
                after = loss_of(changed, images.float(), labels)
                expected = float(before - after)
                assert table[layer.entry, column] == pytest.approx(expected, rel=1e-4, abs=1e-7)


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_sizes_and_operations_are_those_counted_by_hooks(recipe):
    network, (images, _) = recipe.reference(), recipe.batch()
    layers = find_layers(network, images)
    operations = Counter()
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d)):
            each = module.in_channels // module.groups * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            each = module.in_features
        else:
            continue

        def count(_module, _arguments, output, name=name, each=each):
            operations[name] += output.numel() * each

        handles.append(module.register_forward_hook(count))
    with torch.no_grad():
        network(images.float())
    assert {layer.name: layer.macs for layer in layers if layer.macs} == {
        name: round(total / len(images)) for name, total in operations.items()
    }
    quantizable = {
        id(value): value.numel()
        for layer in layers
        for value in network.get_submodule(layer.name).parameters()
    }
    norms = 2 * sum(layer.batch_norm_channels for layer in layers)
    assert float_sizes(layers).sum() == 4 * (sum(quantizable.values()) + norms)


@given(recipes(blocks=(*EXACT, Autocast), dtypes=(torch.float16, torch.bfloat16), most=2))
@settings(max_examples=EXAMPLES // 2)
def test_every_proxy_of_a_network_in_half_precision_is_that_of_its_values(recipe):
    network = recipe.network()
    found = gp_emq.collect_statistics(network, *recipe.batch(), bits=BITS)
    images, labels = recipe.batch()
    expected = gp_emq.collect_statistics(reference_of(network), images.float(), labels, bits=BITS)
    for name in HANDCRAFTED:
        table = gp_emq.load_proxy(name).table(found)
        assert np.array_equal(table, gp_emq.load_proxy(name).table(expected), equal_nan=True)


def test_the_recipes_are_repeatable():
    recipe = Recipe(EXACT, seed=3)
    one, other = recipe.network().state_dict(), recipe.network().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
