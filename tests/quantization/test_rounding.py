import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

from gp_emq.networks import (
    PrivateNetwork,
    find_layers,
    load_images,
    load_network,
    untrained_network,
)
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedWeight,
    RoundingSettings,
    WeightQuantizer,
    _reconstruction,
    calibrate_activations,
    layer_weight,
    quantize,
)
from gp_emq.quantization._blocks import find_blocks
from gp_emq.quantization._quantized_network import quantize_weights
from gp_emq.quantization._reconstruction import reconstruct_blocks, reconstruct_layer
from gp_emq.quantization._recording import record
from gp_emq.quantization._rounding import (
    Reconstructed,
    _SoftWeight,
    learn_rounding,
    reconstruction_error,
)


def test_the_schedule_is_the_published_one():
    settings = RoundingSettings()
    assert settings.learning_rate == 1e-3
    assert settings.temperature(3999) is None
    assert settings.temperature(4000) == 20
    assert settings.temperature(12_000) == pytest.approx(11)
    assert settings.temperature(20_000) == 2
    assert RoundingSettings(iterations=1000).learning_rate == 1e-2


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_relaxed_weight_starts_at_the_float_one(symmetric):
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    grid = WeightQuantizer(symmetric=symmetric, scale_rule="minmax").parameters(weight, 4)
    soft = _SoftWeight(weight, grid)
    inside = (weight / grid.scale + grid.zero_point).clamp(grid.quant_min, grid.quant_max)
    expected = (inside - grid.zero_point) * grid.scale
    torch.testing.assert_close(soft.values().detach(), expected, atol=1e-5, rtol=1e-5)
    # Decided without any learning, it is rounding to nearest.
    assert torch.equal(soft.rounded().integers, quantize(weight, grid).to(torch.int16))


def fed_with(module, inputs):
    """A network of one module, and what is recorded of it."""
    network = PrivateNetwork(nn.Sequential(module))
    recording = record(network, network, "0", inputs)
    return network, [Reconstructed(network.model[0], {"weight": "only"}, recording)]


def test_rounding_finds_the_best_of_all_decisions():
    # One output of three weights and few inputs: every choice can be tried.
    module = nn.Linear(3, 1, bias=False)
    module.weight.data = torch.tensor([[0.42, 0.45, 0.44]])
    inputs = torch.ones(64, 3) + 0.01 * torch.randn(
        64, 3, generator=torch.Generator().manual_seed(0)
    )
    grid = WeightQuantizer(scale_rule="minmax").parameters(torch.tensor([[-1.5, 1.0, 1.5]]), 2)
    assert float(grid.scale) == 1
    network, parts = fed_with(module, inputs)
    weights = {"only": (module.weight.detach(), grid)}
    learned = learn_rounding(network, parts, weights, RoundingSettings(iterations=1000))["only"]
    choices = [
        QuantizedWeight(torch.tensor([[a, b, c]], dtype=torch.int16), grid)
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
    ]
    errors = [reconstruction_error(network, parts, {"only": w}, 64) for w in choices]
    found = reconstruction_error(network, parts, {"only": learned}, 64)
    # Rounding to nearest gives 0 for a sum of 1.31; rounding any one of the three up gives 1.
    assert found == pytest.approx(min(errors), rel=0.1)
    assert found < errors[0] / 4


@pytest.fixture(scope="module")
def digits():
    network = load_network("digits")
    images = load_images("digits", part="training").images[:64]
    grids = calibrate_activations(network.model, network.layers, images, ActivationQuantizer())
    return network, images, grids


def test_learned_rounding_comes_nearer_than_rounding_to_nearest(digits):
    network, images, _ = digits
    layer = network.layers[3]
    module = network.model.get_submodule(layer.name)
    captured = {}
    handle = module.register_forward_hook(lambda _m, i, o: captured.update(x=i[0], y=o.detach()))
    with torch.no_grad():
        network.model(images)
    handle.remove()
    nearest = quantize_weights(network.model, network.layers, (2,), WeightQuantizer())[3, 2]
    learned = reconstruct_layer(
        network.model,
        layer,
        2,
        quantizer=WeightQuantizer(),
        activation=None,
        images=images,
        settings=RoundingSettings(iterations=150),
    )
    errors = []
    for weight in (learned, nearest):
        with torch.no_grad():
            output = functional_call(module, {"weight": weight.values()}, captured["x"])
        errors.append(float((output - captured["y"]).square().sum()))
    assert errors[0] < 0.8 * errors[1]
    # Each weight went up or down by less than one step.
    scaled = layer_weight(network.model, layer) / learned.parameters.scale
    inside = (scaled > -2) & (scaled < 1)
    assert ((learned.integers - scaled).abs()[inside] < 1).all()


@pytest.mark.parametrize("exponent", [-30, -12, 20])
def test_decisions_do_not_depend_on_the_size_of_weights_and_outputs(exponent):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(20, 6, bias=False), torch.randn(64, 20)
    learned = []
    for factor in (1.0, 2.0**exponent):
        scaled = copy.deepcopy(layer)
        with torch.no_grad():
            scaled.weight.mul_(factor)
        grid = WeightQuantizer().parameters(scaled.weight, 3)
        settings = RoundingSettings(iterations=200)
        weights = {"only": (scaled.weight.detach(), grid)}
        rounded = learn_rounding(*fed_with(scaled, inputs), weights, settings)["only"]
        learned.append(rounded.integers)
        nearest = quantize(scaled.weight, grid)
        assert not torch.equal(rounded.integers.float(), nearest)
    assert torch.equal(*learned)


def test_learned_rounding_repeats_to_the_last_bit(digits):
    network, images, grids = digits
    results = [
        reconstruct_layer(
            network.model,
            network.layers[0],
            3,
            quantizer=WeightQuantizer(),
            activation=grids[0],
            images=images,
            settings=RoundingSettings(iterations=30),
        ).integers
        for _ in range(2)
    ]
    assert torch.equal(*results)


def test_blocks_are_residual_blocks_and_single_layers():
    network = untrained_network("resnet18")
    stages = [f"layer{s}.{b}" for s in range(1, 5) for b in range(2)]
    assert find_blocks(network.model, network.layers) == ("conv1", *stages, "fc")
    mobile = untrained_network("mobilenet_v2")
    blocks = find_blocks(mobile.model, mobile.layers)
    assert blocks[:2] == ("features.0.0", "features.1")
    assert blocks[-1] == "classifier.1"


class Stages(nn.Module):
    """Two blocks of two layers each."""

    def __init__(self):
        super().__init__()
        self.stage = nn.Sequential(*(self._block() for _ in range(2)))

    @staticmethod
    def _block():
        block = Residual()
        with torch.no_grad():
            for parameter in block.parameters():
                parameter.mul_(2)
        return block

    def forward(self, x):
        return self.stage(x).mean((2, 3))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return x + self.two(self.one(x).relu())


def fed_to(monkeypatch):
    """Record what learning is fed, in order, and round to nearest instead."""
    fed = []

    def learn(network, parts, weights, _settings, *, step_done=None):
        (part,) = parts
        seen = []
        watching = part.module.register_forward_pre_hook(lambda _m, i: seen.append(i[0]))
        for call in part.recording.calls(torch.arange(len(part.recording))):
            network.call(part.module, call.arguments, call.named)
            fed.append((seen.pop(), call.output))
        watching.remove()
        return {
            name: QuantizedWeight(quantize(weight, grid).short(), grid)
            for name, (weight, grid) in weights.items()
        }

    monkeypatch.setattr(_reconstruction, "learn_rounding", learn)
    return fed


def small_network():
    torch.manual_seed(0)
    model = Stages().eval()
    images = torch.randn(8, 3, 6, 6)
    return model, images, find_layers(model, images[:1])


def test_blocks_are_fed_what_quantized_weights_before_them_give(monkeypatch):
    fed = fed_to(monkeypatch)
    model, images, layers = small_network()
    widths = {layer.name: 2 for layer in layers}
    weights = reconstruct_blocks(
        model,
        layers,
        widths,
        quantizer=WeightQuantizer(),
        images=images,
        settings=RoundingSettings(iterations=1),
    )
    first, second = model.stage
    quantized = copy.deepcopy(first)
    with torch.no_grad():
        for name in ("one", "two"):
            quantized.get_submodule(name).weight.copy_(weights[f"stage.0.{name}"].values())
        expected = [(images, first(images)), (quantized(images), second(first(images)))]
    assert len(fed) == 2
    for found, right in zip(fed, expected, strict=True):
        torch.testing.assert_close(found, right)


def test_layers_are_fed_their_float_input_rounded_to_its_grid(monkeypatch):
    fed = fed_to(monkeypatch)
    model, images, layers = small_network()
    grids = calibrate_activations(model, layers, images, ActivationQuantizer(bits=3))
    inside = {}
    handles = [
        model.get_submodule(layer.name).register_forward_hook(
            lambda _m, x, y, name=layer.name: inside.update({name: (x[0].detach(), y.detach())})
        )
        for layer in layers
    ]
    model(images)
    for handle in handles:
        handle.remove()
    for layer, grid in zip(layers, grids, strict=True):
        for activation in (grid, None):
            fed.clear()
            reconstruct_layer(
                model,
                layer,
                3,
                quantizer=WeightQuantizer(),
                activation=activation,
                images=images,
                settings=RoundingSettings(iterations=1),
            )
            x, y = inside[layer.name]
            rounded = x
            if activation is not None:
                rounded = torch.fake_quantize_per_tensor_affine(
                    x, float(grid.scale), int(grid.zero_point), 0, 7
                )
            torch.testing.assert_close(fed[0], (rounded, y))


def test_blocks_cover_a_configuration(digits):
    network, images, _ = digits
    names = [layer.name for layer in network.layers]
    widths = dict(zip(names, [2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3], strict=True))
    before = {k: v.clone() for k, v in network.model.state_dict().items()}
    weights = reconstruct_blocks(
        network.model,
        network.layers,
        widths,
        quantizer=WeightQuantizer(symmetric=False),
        images=images,
        settings=RoundingSettings(iterations=3),
    )
    assert set(weights) == set(widths)
    for layer in network.layers:
        integers = weights[layer.name].integers
        assert tuple(integers.shape) == layer.weight_shape
        assert int(integers.min()) >= 0
        assert int(integers.max()) < 1 << widths[layer.name]
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())
