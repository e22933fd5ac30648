"""Small awkward networks through everything there is, from statistics to training and benches."""

import itertools
import math
import os
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from random_networks import Conditional, Kept, everything_of, recipes, same
from reference_quantizer import reference
from torch import nn

import gp_emq
from gp_emq.errors import TrainingError
from gp_emq.mqbench import MeasurementSettings, Measurer, find_protocol
from gp_emq.networks import Workload, find_layers
from gp_emq.qat import QatSettings, Samples, TensorImages, train, warm_start
from gp_emq.quantization import WeightQuantizer

BITS = (2, 4, 8)
EXAMPLES = int(os.environ.get("GP_EMQ_TEST_EXAMPLES", "6"))
PER_CHANNEL = WeightQuantizer(per_channel=True, scale_rule="minmax")
TYPES = (torch.float32, torch.float64, torch.bfloat16)


def counted(network, images):
    """Products of one image, and channels of batch norms right behind, by layer, by hooks."""
    products, norms, last = Counter(), {}, []

    def hook(module, _arguments, output):
        if isinstance(module, nn.BatchNorm2d):
            norms.setdefault(last[-1], {})[module] = module.num_features
            return
        name = next(n for n, m in network.named_modules() if m is module)
        last.append(name)
        products[name] += output.numel() * math.prod(module.weight.shape[1:])

    handles = [
        module.register_forward_hook(hook)
        for module in network.modules()
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear, nn.BatchNorm2d))
    ]
    with torch.no_grad():
        for image in images.split(1):
            network(image.clone())
    for handle in handles:
        handle.remove()
    channels = Counter({name: sum(found.values()) for name, found in norms.items()})
    return {name: round(total / len(images)) for name, total in products.items()}, channels


@given(recipes(dtypes=TYPES, most=2))
@settings(max_examples=EXAMPLES)
def test_a_plan_is_the_best_of_all_by_a_count_of_its_bytes(recipe):
    network, (images, labels) = recipe.network(), recipe.batch()
    before = everything_of(network)
    statistics = gp_emq.collect_statistics(network, images, labels, bits=BITS)
    table = gp_emq.load_proxy("relative_output_error").table(statistics)
    layers, whole = statistics.layers, recipe.reference()
    products, channels = counted(whole, images.float())
    assert {layer.name for layer in layers} == set(products)
    owners = {}
    sizes, operations = np.zeros((2, len(table)))
    for layer in layers:
        module = whole.get_submodule(layer.name)
        for value in module.parameters():
            if owners.setdefault(id(value), layer.name) == layer.name:
                sizes[layer.entry] += value.numel()
        # A batch norm has two numbers for each channel, at the layer's width.
        sizes[layer.entry] += 2 * channels[layer.name]
        operations[layer.entry] += products[layer.name]
    budget = 4.0 * sizes.sum() / 8 / 2**20
    plan = gp_emq.allocate(table, size_mib=budget)
    assert same(before, everything_of(network))

    def bytes_of(widths):
        return (sizes * np.array(widths)).sum() / 8

    best = max(
        sum(table[entry, BITS.index(width)] for entry, width in enumerate(widths))
        for widths in itertools.product(BITS, repeat=len(table))
        if bytes_of(widths) <= budget * 2**20 * (1 + 1e-9)
    )
    assert plan.score == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert plan.measures.size_mib * 2**20 == pytest.approx(bytes_of(plan.configuration))
    spent = (operations * np.array(plan.configuration)).sum() * 8
    assert plan.measures.bops_g * 1e9 == pytest.approx(spent)
    found = gp_emq.quantize(
        network, plan, images, quantizer=PER_CHANNEL, activation_bits=32, method="rtn"
    )
    right = reference(network, plan.widths, images, 32)
    rough = 1e-2 if recipe.dtype is torch.bfloat16 else 1e-5
    with torch.no_grad():
        torch.testing.assert_close(
            found(images).float(), right(images.float().clone()), rtol=rough, atol=rough
        )


@given(recipes(dtypes=TYPES, most=2))
@settings(max_examples=EXAMPLES)
def test_training_ends_on_grids_that_an_independent_network_computes_with(recipe):
    network, (images, labels) = recipe.network(), recipe.batch()
    assume(Conditional not in recipe.blocks)  # an image may call no such layer
    layers = find_layers(network, images)
    widths = {layer.name: 4 for layer in layers}
    options = QatSettings(epochs=1, batch=len(images), learning_rate=0.02, weight_decay=0.0)
    before, pictures = everything_of(network), images.clone()
    start = warm_start(network, layers, widths, images, options)
    samples = Samples(TensorImages(images.float(), labels))
    if Kept in recipe.blocks:
        with pytest.raises(TrainingError, match="would not be rounded with it"):
            train(network, layers, widths, start, samples, settings=options)
        return
    trained = train(network, layers, widths, start, samples, settings=options)
    assert same(before, everything_of(network))
    assert torch.equal(images, pictures)
    whole = recipe.reference()
    state = trained.network.state_dict()
    whole.load_state_dict({name: state[name] for name in whole.state_dict()})
    for name, weight in trained.weights.items():
        grid = weight.parameters
        values = whole.get_submodule(name).weight
        steps = values / grid.scale
        assert torch.equal(steps.round().clamp(grid.quant_min, grid.quant_max), steps.round())
        torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-3)
    for name, grid in trained.activations.items():
        scale, zero = float(grid.scale), int(grid.zero_point)

        def rounding(_module, arguments, named, scale=scale, zero=zero):
            x = arguments[0] if arguments else named["input"]
            x = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)
            return ((x, *arguments[1:]), named) if arguments else ((), {**named, "input": x})

        whole.get_submodule(name).register_forward_pre_hook(rounding, with_kwargs=True)
    with torch.no_grad():
        right = whole(images.float().clone())
    torch.testing.assert_close(trained(images).float(), right, rtol=0.02, atol=0.02)
    assert trained(images).dtype == recipe.dtype


@given(recipes(dtypes=TYPES, most=2))
@settings(max_examples=EXAMPLES)
def test_benches_say_what_an_independent_fake_quantizer_says(recipe):
    network, (images, labels) = recipe.network(), recipe.batch()
    assume(Conditional not in recipe.blocks)
    before, pictures = everything_of(network), images.clone()
    protocol = find_protocol("rtn").with_options(
        per_channel=True, scale_rule="minmax", calibration_images=len(images) // 2
    )
    measurer = Measurer(
        MeasurementSettings(
            network="own", weights=None, data=(), protocol=protocol, bits=BITS, tests=None, seed=0,
            arithmetic="float", workload=Workload(network, images, labels),
        )
    )  # fmt: skip
    order = np.random.default_rng((0, 0)).permutation(len(images))
    fitted, test = order[: len(images) // 2], np.sort(order[len(images) // 2 :])
    layers = measurer.network.layers
    entries = 1 + max(layer.entry for layer in layers)
    for row in ([2] * entries, [BITS[index % 3] for index in range(entries)]):
        right = np.unpackbits(measurer.measure(row), count=len(test)).astype(bool)
        widths = {layer.name: row[layer.entry] for layer in layers}
        with torch.no_grad():
            logits = reference(network, widths, images[fitted], 8)(images[test].float().clone())
        top = logits.topk(2, dim=1).values
        clear = (top[:, 0] - top[:, 1] > 0.05 * logits.abs().max()).numpy()
        expected = (logits.argmax(1) == labels[test]).numpy()
        assert np.array_equal(right[clear], expected[clear])
    assert same(before, everything_of(network))
    assert torch.equal(images, pictures)
