import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import Normed, Shared, Tokens, made, pictures
from torch import nn

import gp_emq
from gp_emq.allocation import CostSettings
from gp_emq.errors import GpEmqError, QuantizationError
from gp_emq.networks import find_layers, load_images, load_network
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantization import _reconstruction as reconstruction
from gp_emq.quantization.recipes import find_recipe, list_recipes

PER_TENSOR = WeightQuantizer(scale_rule="minmax")


def test_rounding_to_nearest_is_what_torch_computes_with_fake_quantizers():
    model, images = made(Normed), pictures()
    quantized = gp_emq.quantize(
        model, {"conv": 3, "head": 4}, images, quantizer=PER_TENSOR, method="rtn"
    )
    observer = torch.ao.quantization.MinMaxObserver(dtype=torch.quint8)
    expected = copy.deepcopy(model)
    for name, bits in (("conv", 3), ("head", 4)):
        weight = model.get_submodule(name).weight.detach()
        scale = float(2 * weight.abs().max() / (2**bits - 1))
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        expected.get_submodule(name).weight.data = torch.fake_quantize_per_tensor_affine(
            weight, scale, 0, low, high
        )
    inputs = {}
    for name in ("conv", "head"):
        model.get_submodule(name).register_forward_hook(
            lambda _m, i, _o, name=name: inputs.update({name: i[0]})
        )
    model(images)
    for name in ("conv", "head"):
        observer.reset_min_max_vals()
        observer(inputs[name])
        scale, zero = observer.calculate_qparams()
        expected.get_submodule(name).register_forward_pre_hook(
            lambda _m, i, s=float(scale), z=int(zero): torch.fake_quantize_per_tensor_affine(
                i[0], s, z, 0, 255
            )
        )
    torch.testing.assert_close(quantized(images), expected(images), atol=1e-5, rtol=1e-5)


def test_batch_norm_statistics_are_those_of_the_quantized_network():
    model, images = made(Normed), pictures()
    widths = {"conv": 2, "head": 8}
    quantized = gp_emq.quantize(model, widths, images, method="rtn+bn", activation_bits=32)
    plain = gp_emq.quantize(model, widths, images, activation_bits=32, method="rtn")
    outputs = plain.network.conv(images).detach().double().numpy()
    by_channel = outputs.transpose(1, 0, 2, 3).reshape(4, -1)
    norm = quantized.network.norm
    np.testing.assert_allclose(norm.running_mean, by_channel.mean(axis=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, by_channel.var(axis=1, ddof=1), rtol=1e-4)
    assert not norm.training
    assert norm.momentum == model.norm.momentum
    assert torch.equal(plain.network.norm.running_mean, model.norm.running_mean)


@pytest.mark.parametrize("method", [method.name for method in list_recipes()])
def test_every_method_rounds_to_grids_and_leaves_the_network_alone(method):
    model, images = made(Tokens), pictures()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    options = {"iterations": 3} if find_recipe(method).learns else {}
    widths = {"patches": 2, "gated.value": 3, "gated.gate": 8, "head": 32}
    quantized = gp_emq.quantize(model, widths, images, method=method, **options)
    assert model.training
    assert all(parameter.requires_grad for parameter in quantized.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(quantized.weights) == set(quantized.activations) == set(widths) - {"head"}
    assert torch.equal(quantized.network.head.weight, model.head.weight)
    for name, bits in list(widths.items())[:3]:
        weight = quantized.weights[name]
        assert torch.equal(quantized.network.get_submodule(name).weight, weight.values())
        for channel in weight.integers:
            assert len(channel.unique()) <= 2**bits
        assert weight.parameters.scale.numel() == len(weight.integers)
    assert quantized(images).shape == (24, 3)
    assert quantized(images).isfinite().all()


def test_layers_in_float_take_float_inputs():
    model, images = made(Normed), pictures()
    seen = []
    quantized = gp_emq.quantize(model, {"conv": 8}, images, activation_bits=2, method="rtn")
    quantized.network.head.register_forward_pre_hook(lambda _m, i: seen.append(i[0]))
    quantized.network.conv.register_forward_hook(lambda _m, i, _o: seen.append(i[0]))
    quantized(images)
    assert len(seen[0].unique()) <= 4
    assert len(seen[1].unique()) > 4


def test_a_layer_called_twice_has_a_grid_for_all_of_its_inputs():
    model, images = made(Shared), pictures()
    quantized = gp_emq.quantize(model, {"twice": 8}, images, method="rtn")
    once = torch.relu(model.twice(images)).detach()
    values = torch.cat([images.flatten(), 9 * nn.functional.avg_pool2d(once, 2).flatten()])
    grid = quantized.activations["twice"]
    reach = (torch.tensor([0.0, 255.0]) - grid.zero_point) * grid.scale
    assert float(reach[0]) == pytest.approx(float(values.min()), abs=float(grid.scale))
    assert float(reach[1]) == pytest.approx(float(values.max()), abs=float(grid.scale))
    assert float(values.max()) > float(images.max())


@pytest.mark.parametrize("method", ["rtn", "adaround", "brecq"])
def test_layers_that_share_a_weight_stay_one(method):
    model, images = made(Shared), pictures()
    options = {} if method == "rtn" else {"iterations": 3}
    widths = {"twice": 4, "first": 3, "second": 3}
    quantized = gp_emq.quantize(model, widths, images, method=method, **options)
    assert quantized.network.first.weight is quantized.network.second.weight
    assert torch.equal(quantized.weights["first"].values(), quantized.network.second.weight)
    with pytest.raises(QuantizationError, match=r"'(first|second)' and '\w+' share one weight"):
        gp_emq.quantize(model, {"first": 3, "second": 4}, images, method="rtn")
    with pytest.raises(QuantizationError, match=r"share one weight.*(32 and 3|3 and 32)"):
        gp_emq.quantize(model, {"first": 3}, images, method="rtn")


def test_blocks_of_several_arguments_are_learned_layer_by_layer():
    model = made(Tokens)
    layers = gp_emq.networks.find_layers(model, pictures(1))
    widths = {layer.name: 4 for layer in layers}
    blocks = reconstruction.reconstructed_blocks(model, layers, widths, pictures(2))
    attention = [f"attention.{part}_proj" for part in ("q", "k", "v", "out")]
    assert blocks == ("patches", "gated.value", "gated.gate", *attention, "head")


@pytest.fixture(scope="module")
def digits():
    network = load_network("digits")
    return network, load_images("digits", part="training").images[:48]


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_learned_rounding_keeps_the_logits_nearer(digits, method):
    network, images = digits
    widths = {layer.name: 3 for layer in network.layers}
    with torch.no_grad():
        logits = network.model(images)
        errors = [
            float((gp_emq.quantize(network.model, widths, images, **options)(images) - logits)
                  .square().mean())
            for options in ({"method": "rtn"}, {"method": method, "iterations": 50})
        ]  # fmt: skip
    assert errors[1] < 0.6 * errors[0]


def test_another_plan_learns_only_the_layers_and_widths_that_are_new(digits, tmp_path, monkeypatch):
    network, images = digits
    learned = []
    original = reconstruction.learn_rounding

    def counting(network, parts, weights, *arguments, **options):
        learned.extend(grid.quant_max for _, grid in weights.values())
        return original(network, parts, weights, *arguments, **options)

    monkeypatch.setattr(reconstruction, "learn_rounding", counting)
    names = [layer.name for layer in network.layers]
    options = {"method": "adaround", "iterations": 2, "cache": tmp_path}
    first = gp_emq.quantize(network.model, dict.fromkeys(names, 3), images, **options)
    assert len(learned) == 14
    changed = {**dict.fromkeys(names, 3), names[4]: 2, names[5]: 4}
    second = gp_emq.quantize(network.model, changed, images, **options)
    assert learned[14:] == [1, 7]
    assert torch.equal(first.weights[names[0]].integers, second.weights[names[0]].integers)
    gp_emq.quantize(network.model, changed, images, **{**options, "seed": 1})
    gp_emq.quantize(network.model, changed, images[1:], **options)
    assert len(learned) == 16 + 14 + 14


@pytest.mark.parametrize("method", ["adaround", "brecq"])
def test_an_interrupted_call_goes_on_and_gives_the_same(digits, tmp_path, monkeypatch, method):
    network, images = digits
    widths = {layer.name: 2 + layer.depth % 3 for layer in network.layers}
    options = {"method": method, "iterations": 4}
    whole = gp_emq.quantize(network.model, widths, images, **options)
    calls = []
    original = reconstruction.learn_rounding

    def interrupting(*arguments, **named):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    monkeypatch.setattr(reconstruction, "learn_rounding", interrupting)
    with pytest.raises(KeyboardInterrupt):
        gp_emq.quantize(network.model, widths, images, cache=tmp_path, **options)
    told = []
    resumed = gp_emq.quantize(
        network.model, widths, images, cache=tmp_path, **options,
        progress=lambda name, done, total: told.append((name, done, total)),
    )  # fmt: skip
    pieces = 14 if method == "adaround" else 8
    assert len(calls) == 4 + pieces - 3
    # What was learned before the interruption is told at once, and all steps add up.
    assert [done for _, done, _ in told[:3]] == [4, 8, 12]
    assert told[-1][1:] == (4 * pieces, 4 * pieces)
    for name, weight in whole.weights.items():
        assert torch.equal(weight.integers, resumed.weights[name].integers)
    assert torch.equal(whole(images), resumed(images))


def test_damaged_files_of_learned_rounding_are_learned_anew(digits, tmp_path):
    network, images = digits
    options = {"method": "adaround", "iterations": 2, "cache": tmp_path}
    first = gp_emq.quantize(network.model, {"conv1": 2}, images, **options)
    (kept,) = tmp_path.rglob("*.safetensors")
    content = kept.read_bytes()
    kept.write_bytes(content[:-9])
    again = gp_emq.quantize(network.model, {"conv1": 2}, images, **options)
    assert torch.equal(first.weights["conv1"].integers, again.weights["conv1"].integers)
    assert kept.read_bytes() == content


@pytest.mark.parametrize(
    ("widths", "options", "message"),
    [
        ({"conv9": 3}, {}, "a layer 'conv9', but Normed has conv, head"),
        ({"conv": 9}, {}, "gives layer 'conv' 9 bits: 2 to 8, or 32"),
        ({"conv": 32}, {}, "quantizes no layer"),
        ({"conv": 3}, {"method": "rtm"}, r"'rtm': known are rtn, .*rtn\+bn, .*brecq"),
        (
            {"conv": 3},
            {"iterations": 5},
            r"rtn\+bn-correction learns nothing: it takes no iterations",
        ),
        ({"conv": 3}, {"method": "brecq", "iterations": 0}, "at least 1, not 0"),
        ({"conv": 3}, {"activation_bits": 9}, "2 to 8, or 32 for float, not 9"),
        ({"conv": 3}, {"seed": -1}, "seed must be at least 0, not -1"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(widths, options, message):
    with pytest.raises(GpEmqError, match=message) as caught:
        gp_emq.quantize(made(Normed), widths, pictures(), **options)
    assert "\n" not in str(caught.value)


def test_images_that_do_not_fit_are_one_clear_error():
    with pytest.raises(GpEmqError, match="finite"):
        gp_emq.quantize(made(Normed), {"conv": 3}, pictures() * float("nan"), method="rtn")
    with pytest.raises(GpEmqError, match="at least 2 images"):
        gp_emq.quantize(made(Normed), {"conv": 3}, pictures(1), method="rtn+bn")


def test_a_plan_of_another_network_is_refused():
    model, images = made(Normed), pictures()
    statistics = gp_emq.collect_statistics(model, images, bits=(2, 3, 4))
    plan = gp_emq.allocate([[-3, -2, -1]] * 2, statistics.layers, bits=(2, 3, 4), average_bits=3)
    assert set(gp_emq.quantize(model, plan, images, method="rtn").weights) == {"conv", "head"}
    wider = Normed()
    wider.head = nn.Linear(4, 5)
    with pytest.raises(QuantizationError, match=r"'head' has a weight of shape \(3, 4\).*\(5, 4\)"):
        gp_emq.quantize(wider, plan, images, method="rtn")
    with pytest.raises(QuantizationError, match="a layer 'conv', but Tokens has patches"):
        gp_emq.quantize(made(Tokens), plan, images, method="rtn")
    part = nn.Sequential(made(Normed).conv)
    layers = gp_emq.networks.find_layers(part, images[:1])
    small = gp_emq.allocate([[-3, -2, -1]], layers, bits=(2, 3, 4), average_bits=3)
    longer = nn.Sequential(part[0], nn.Flatten(), nn.LazyLinear(3))
    longer(images)
    with pytest.raises(QuantizationError, match="says nothing of layer '2', the first of 1 lay"):
        gp_emq.quantize(longer, small, images, method="rtn")
    assert set(gp_emq.quantize(longer, small.widths, images, method="rtn").weights) == {"0"}


def test_a_plan_keeps_excluded_layers_in_float():
    model, images = made(Normed), pictures()
    layers = gp_emq.networks.find_layers(model, images[:1])
    plan = gp_emq.allocate(
        [[-3, -2, -1]] * 2, layers, bits=(2, 3, 4), average_bits=3, exclude=["head"]
    )
    assert set(gp_emq.quantize(model, plan, images, method="rtn").weights) == {"conv"}


@pytest.mark.parametrize(
    ("planned", "given", "levels"), [(4, None, 16), (None, None, 256), (8, 4, 16), (32, None, 0)]
)
def test_inputs_get_the_width_that_the_plan_counted_with(planned, given, levels):
    model, images = made(Normed), pictures()
    layers = find_layers(model, images[:1])
    settings = CostSettings(activation_bits=planned or 8)
    plan = gp_emq.allocate(
        [[-3.0, -1.0]] * 2, layers, bits=(2, 4), average_bits=3, settings=settings
    )
    plan = replace(plan, activation_bits=planned)
    quantized = gp_emq.quantize(model, plan, images, activation_bits=given, method="rtn")
    grids = quantized.activations.values()
    assert {grid.quant_max - grid.quant_min + 1 for grid in grids} == (
        {levels} if levels else set()
    )


def test_a_budget_of_bit_operations_holds_for_the_inputs_that_it_counted():
    model, images = made(Normed), pictures()
    layers = find_layers(model, images[:1])
    # All at four bits, and inputs at four, as the hand counts: 16 operations for each product.
    most = 16 * sum(layer.macs for layer in layers) / 1e9
    settings = CostSettings(activation_bits=4)
    plan = gp_emq.allocate(
        [[-3.0, -1.0]] * 2, layers, bits=(2, 4), bops_g=most * 1.000001, settings=settings
    )
    assert set(plan.widths.values()) == {4}
    assert gp_emq.quantize(model, plan, images, method="rtn").activations["conv"].quant_max == 15
    with pytest.raises(QuantizationError, match="G BOPs with inputs at 4 bits, not 8"):
        gp_emq.quantize(model, plan, images, activation_bits=8, method="rtn")
