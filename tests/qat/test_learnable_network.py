"""From a quantized model to a network that trains, and back, without a change of the outputs."""

import copy

import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.allocation import allocate
from gp_emq.determinism import one_thread
from gp_emq.errors import TrainingError
from gp_emq.networks import find_layers, load_images, load_network
from gp_emq.qat import QatSettings, trained_plan, warm_start
from gp_emq.qat._network import learnable_network, learned_grids, quantized_model, rounding_alike
from gp_emq.qat._warm_start import fitted_start, trained_widths
from gp_emq.quantization import (
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    WeightQuantizer,
    quantize,
)

FLOAT = 32


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def digits():
    return load_network("digits")


@pytest.fixture(scope="module")
def images():
    return load_images("digits", part="training").images[:128]


def widths_of(network, bits: int) -> dict[str, int]:
    return {layer.name: bits for layer in network.layers}


def test_training_starts_where_the_quantized_model_is(digits, images) -> None:
    start = warm_start(digits.model, digits.layers, widths_of(digits, 3), images, QatSettings())
    network = learnable_network(digits.model, start).eval()
    with torch.no_grad():
        assert torch.equal(network(images), start(images))


def test_other_roundings_batch_norms_and_float_layers_are_taken_over(digits, images) -> None:
    """As after learned rounding: up and down at random, from every weight's two neighbours."""
    generator = torch.Generator().manual_seed(0)
    model = copy.deepcopy(digits.model)
    model.bn1.running_mean.add_(0.1)
    weights = {}
    for layer in digits.layers[1:]:
        weight = model.get_submodule(layer.name).weight.detach()
        grid = WeightQuantizer(per_channel=True).parameters(weight, 3)
        up = torch.randint(0, 2, weight.shape, generator=generator)
        integers = ((weight / grid.scale).floor() + up).clamp(grid.quant_min, grid.quant_max)
        weights[layer.name] = QuantizedWeight(integers.short(), grid)
    start = QuantizedModel(model, weights, {})
    network = learnable_network(digits.model, start).eval()
    with torch.no_grad():
        assert torch.equal(network(images), start(images))
    assert len(learned_grids(network)) == len(digits.layers) - 1


def test_a_weight_moves_no_further_than_to_the_edge_of_its_cell() -> None:
    parameters = QuantizationParameters(torch.tensor(0.5), torch.tensor(0.0), -2, 1)
    weight = torch.tensor([0.3, 0.3, -0.9, 0.1, -5.0])
    wanted = torch.tensor([1, 0, -1, 1, -2])
    moved = rounding_alike(weight, QuantizedWeight(wanted.short(), parameters))
    assert torch.equal(quantize(moved, parameters), wanted.float())
    torch.testing.assert_close(
        moved, torch.tensor([0.3, 0.25, -0.75, 0.25, -5.0]), rtol=0, atol=1e-3
    )


def test_a_trained_network_and_its_quantized_model_compute_the_same(digits, images) -> None:
    start = warm_start(digits.model, digits.layers, widths_of(digits, 2), images, QatSettings())
    network = learnable_network(digits.model, start)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        loss = network(images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    result = quantized_model(digits.model, network, list(start.weights), list(start.activations))
    test = load_images("digits").images[:200]
    with torch.no_grad():
        assert torch.equal(result(test), network(test))
        assert not torch.equal(result(test), start(test))
    for name, weight in result.weights.items():
        grid = weight.parameters
        assert weight.integers.dtype == torch.int16
        assert grid.quant_min <= int(weight.integers.min())
        assert int(weight.integers.max()) <= grid.quant_max
        assert torch.equal(result.network.get_submodule(name).weight, weight.values())
    moved = [
        not torch.equal(weight.parameters.scale, start.weights[name].parameters.scale)
        for name, weight in result.weights.items()
    ]
    assert all(moved)


def test_the_float_network_is_left_alone(digits, images) -> None:
    before = copy.deepcopy(digits.model.state_dict())
    start = warm_start(digits.model, digits.layers, widths_of(digits, 4), images, QatSettings())
    network = learnable_network(digits.model, start)
    network(images)
    assert digits.model.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in digits.model.state_dict().items())


def test_any_module_with_layers_trains() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=True), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))
    from gp_emq.networks import find_layers

    images = torch.rand(4, 1, 8, 8)
    layers = find_layers(model.eval(), images[:1])
    start = warm_start(model, layers, {"0": 2, "3": 3}, images, QatSettings(first_last_bits=None))
    network = learnable_network(model, start)
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_first_and_last_layer_have_8_bits_unless_asked_otherwise(digits) -> None:
    names = [layer.name for layer in digits.layers]
    widths = {**widths_of(digits, 2), names[0]: FLOAT}
    found = trained_widths(digits.layers, widths, 8)
    assert names[0] not in found
    assert [name for name, width in found.items() if width == 8] == [names[1], names[-1]]
    assert set(trained_widths(digits.layers, widths, None).values()) == {2}
    assert trained_widths(digits.layers, widths_of(digits, 8), 4)[names[0]] == 8


def test_layers_that_a_plan_groups_with_the_first_or_last_get_their_width(digits) -> None:
    names = [layer.name for layer in digits.layers]
    table = [[-3.0, -2.0]] * len(names)
    groups = [[names[0], names[4]]]
    plan = allocate(table, digits.layers, bits=(2, 3), average_bits=2.5, groups=groups)
    trained = trained_plan(plan, digits.layers, QatSettings(first_last_bits=8))
    raised = [name for name, width in trained.widths.items() if width == 8]
    assert raised == [names[0], names[4], names[-1]]
    assert trained_widths(digits.layers, trained.widths, 8) == trained.widths


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"conv9": 4}, r"no layer 'conv9'; it has conv1, "),
        ({"conv1": 9}, "has 9 bits: give 2 to 8, or 32"),
        ({"conv1": 1}, "has 1 bits"),
        ({"conv1": 32}, "nothing to train"),
        ({}, "nothing to train"),
    ],
)
def test_widths_that_do_not_fit_are_named(digits, widths, message) -> None:
    with pytest.raises(TrainingError, match=message):
        trained_widths(digits.layers, widths, 8)


def test_a_start_at_other_widths_is_adapted(digits, images) -> None:
    plain = QatSettings(first_last_bits=None, activation_bits=8)
    start = warm_start(digits.model, digits.layers, widths_of(digits, 3), images, plain)
    asked = QatSettings(first_last_bits=8, activation_bits=4)
    widths = trained_widths(digits.layers, widths_of(digits, 3), 8)
    fitted = fitted_start(digits.model, digits.layers, widths, start, asked)
    first, second = (layer.name for layer in digits.layers[:2])
    grid = fitted.weights[first].parameters
    assert (grid.quant_min, grid.quant_max) == (-128, 127)
    expected = WeightQuantizer(per_channel=True).parameters(digits.model.conv1.weight, 8)
    assert torch.equal(grid.scale, expected.scale)
    assert fitted.weights[second] is start.weights[second]
    assert fitted.activations[first] is start.activations[first]
    # Four bits over the same range: 15 steps for 255.
    assert (fitted.activations[second].quant_min, fitted.activations[second].quant_max) == (0, 15)
    torch.testing.assert_close(
        fitted.activations[second].scale * 15, start.activations[second].scale * 255
    )
    # Inputs are rounded once, not on the old grids as well.
    rebuilt = QuantizedModel(digits.model, fitted.weights, fitted.activations)
    with torch.no_grad():
        assert torch.equal(fitted(images), rebuilt(images))


def test_a_start_that_quantizes_other_layers_is_refused(digits, images) -> None:
    settings = QatSettings()
    some = {digits.layers[1].name: 4, digits.layers[2].name: 4}
    start = warm_start(digits.model, digits.layers, some, images, settings)
    widths = trained_widths(digits.layers, {**some, digits.layers[3].name: 4}, 8)
    with pytest.raises(TrainingError, match=f"'{digits.layers[3].name}' is in float there"):
        fitted_start(digits.model, digits.layers, widths, start, settings)


class Shared(nn.Module):
    """Two layers with one weight, called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.other(input=self.one(x.mean((2, 3))).relu())


def test_a_shared_weight_is_trained_on_one_grid() -> None:
    torch.manual_seed(0)
    model, images = Shared(), torch.randn(16, 4, 3, 3)
    layers = find_layers(model, images[:1])
    start = warm_start(model, layers, {"one": 3, "other": 3}, images, QatSettings())
    network = learnable_network(model, start)
    assert len(learned_grids(network)) == 1 + 2  # the weight's, and those of two inputs
    with torch.no_grad():
        learned_grids(network)[0].step.mul_(1.3)
        again = quantized_model(model, network, list(start.weights), list(start.activations))
        assert again.network.one.weight is again.network.other.weight
        assert torch.equal(again(images), network.eval()(images))


class Kept(nn.Module):
    """Keeps the weight of a product beside it, and uses it once more."""

    def __init__(self) -> None:
        super().__init__()
        self.product, self.head = nn.Linear(4, 4), nn.Linear(4, 3)
        self.kept = self.product.weight.data

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head((self.product(x.flatten(1)) @ self.kept).relu())


def test_a_weight_that_is_kept_beside_its_layer_is_refused() -> None:
    model, images = Kept(), torch.randn(8, 1, 2, 2)
    start = gp_emq.quantize(model, {"product": 4, "head": 4}, images, method="rtn")
    with pytest.raises(TrainingError, match=r"'product' is in 'kept' too"):
        learnable_network(model, start)
    alone = gp_emq.quantize(model, {"head": 4}, images, method="rtn")
    network = learnable_network(model, alone).eval()
    torch.testing.assert_close(network(images), alone(images))


def test_a_model_with_groups_trains_on_their_grids(digits, images) -> None:
    quantizer = WeightQuantizer(per_channel=True, scale_rule="minmax", group=32)
    start = gp_emq.quantize(
        digits.model, widths_of(digits, 3), images, method="rtn", quantizer=quantizer
    )
    network = learnable_network(digits.model, start)
    network.eval()
    with torch.no_grad():
        assert torch.equal(network(images), start(images))
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    network(images).square().mean().backward()
    optimizer.step()
    network.eval()
    result = quantized_model(digits.model, network, list(start.weights), list(start.activations))
    with torch.no_grad():
        assert torch.equal(result(images), network(images))
    grouped = [name for name, weight in result.weights.items() if weight.parameters.group == 32]
    assert {digits.model.get_submodule(name).weight[0].numel() > 32 for name in grouped} == {True}
    for name in grouped:
        before, after = (of.weights[name].parameters.scale for of in (start, result))
        assert before.shape == after.shape
        assert not torch.equal(before, after)
    widths = dict.fromkeys(widths_of(digits, 3), 4)
    fitted = fitted_start(digits.model, digits.layers, widths, start, QatSettings())
    name = grouped[0]
    expected = quantizer.parameters(digits.model.get_submodule(name).weight.detach(), 4)
    assert fitted.weights[name].parameters.scale.shape == expected.scale.shape
    assert fitted.weights[name].parameters.group == 32
