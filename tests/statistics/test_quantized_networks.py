"""Statistics at quantized networks, against copies of the network whose weights are quantized."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from random_networks import EXACT, Conditional, recipes, reference_of
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.networks import weight_layers
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import STATISTICS, Rounding, Statistics, StatisticsSettings

BITS = (2, 3, 4)
PLACES = {"low": 0, "middle": 1}
EXAMPLES = int(os.environ.get("GP_EMQ_TEST_EXAMPLES", "5"))


def perturbations(statistics: Statistics) -> dict[str, torch.Tensor]:
    layers = sorted(statistics.layers, key=lambda layer: layer.entry)
    views = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    return dict(zip([layer.name for layer in weight_layers(layers)], views, strict=True))


def quantized(network: nn.Module, statistics: Statistics, places: dict[str, int]) -> nn.Module:
    """A copy with each layer that is named at the width of a place."""
    copied = reference_of(network)
    with torch.no_grad():
        for name, place in places.items():
            copied.get_submodule(name).weight += perturbations(statistics)[name][place]
    return copied


def all_at(network: nn.Module, statistics: Statistics, place: int) -> nn.Module:
    return quantized(network, statistics, dict.fromkeys(perturbations(statistics), place))


@given(recipes(blocks=tuple(block for block in EXACT if block is not Conditional)))
@settings(max_examples=EXAMPLES)
def test_gradients_at_a_quantized_network_are_that_networks_own(recipe):
    images, labels = recipe.batch()
    statistics = gp_emq.collect_statistics(recipe.network(), images, labels, bits=BITS)
    for where, place in PLACES.items():
        there = all_at(recipe.network(), statistics, place)
        own = gp_emq.collect_statistics(there, images.float(), labels, bits=BITS)
        for name in ("weight_gradient", "fisher_diagonal", "activation_gradient"):
            found, expected = statistics.tensor(f"{name}_{where}"), own.tensor(name)
            scale = float(expected.abs().max())
            assert float((found - expected).abs().max()) <= 1e-4 * scale + 1e-12, name


@given(recipes())
@settings(max_examples=EXAMPLES)
def test_divergence_gradient_is_autograds_through_the_quantized_network(recipe):
    images, labels = recipe.batch()
    statistics = gp_emq.collect_statistics(recipe.network(), images, labels, bits=BITS)
    layers = weight_layers(sorted(statistics.layers, key=lambda layer: layer.entry))
    with torch.no_grad():
        plain = recipe.reference(torch.float64)
        before = plain(images.double().clone()).log_softmax(1)
    for where, place in PLACES.items():
        there = all_at(recipe.network(), statistics, place).double()
        after = there(images.double().clone()).log_softmax(1)
        loss = (before.exp() * (before - after)).sum(1).mean()
        weights = [there.get_submodule(layer.name).weight for layer in layers]
        expected = torch.autograd.grad(loss, weights, materialize_grads=True)
        found = statistics.tensor(f"divergence_gradient_{where}")
        for one, other in zip(statistics.layout("Weights").views(found), expected, strict=True):
            # Answers that nearly agree leave only rounding.
            scale = float(other.abs().max())
            assert float((one - other).abs().max()) <= 1e-3 * scale + 1e-6


@given(recipes(most=2))
@settings(max_examples=EXAMPLES)
def test_what_is_measured_is_what_both_networks_give(recipe):
    images, labels = recipe.batch()
    images = images.float()
    statistics = gp_emq.collect_statistics(recipe.network(), images, labels, bits=BITS)
    network = recipe.reference()
    names = perturbations(statistics)
    entries = {layer.name: layer.entry for layer in statistics.layers}

    def judged(other):
        with torch.no_grad():
            one, two = network(images.clone()).double(), other(images.clone()).double()
        loss = functional.cross_entropy(two, labels)
        divergence = (one.softmax(1) * (one.log_softmax(1) - two.log_softmax(1))).sum(1).mean()
        wrong = (two.argmax(1) != labels).double().mean()
        return np.array([float(loss), float(divergence), float(wrong)])

    lowest = dict.fromkeys(names, 0)
    for base, kinds in (
        ({}, ("measured_loss", "measured_divergence", "measured_metric")),
        (lowest, ("measured_loss_low", "measured_divergence_low")),
    ):
        start = judged(quantized(network, statistics, base))
        for entry in range(1 + max(entries.values())):
            mine = [name for name in names if entries[name] == entry]
            for place in range(len(BITS)):
                there = quantized(network, statistics, {**base, **dict.fromkeys(mine, place)})
                for kind, expected in zip(kinds, judged(there) - start, strict=False):
                    found = float(statistics.tensor(kind)[entry, place])
                    assert found == pytest.approx(expected, rel=1e-3, abs=1e-5), kind


class Routed(nn.Module):
    """The last image takes another way once the first layer is quantized to two bits."""

    def __init__(self):
        super().__init__()
        self.first, self.other, self.last = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.Linear(2, 3)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([1.0, 0.3]).view(2, 1, 1, 1))
            self.first.bias.zero_()

    def forward(self, images):
        parts = []
        for hidden in self.first(images).split(1):
            # 0.3 is 0 or 0.5 in steps of a half.
            one, other = hidden.detach().mean((0, 2, 3)).tolist()
            near = 0.29 < other / one < 0.31
            parts.append(self.other(hidden) if near else hidden)
        return self.last(torch.cat(parts).mean((2, 3)))


def test_positions_that_the_float_network_has_not_are_refused():
    torch.manual_seed(0)
    per_tensor = WeightQuantizer(per_channel=False)
    statistics = gp_emq.collect_statistics(
        Routed(), torch.rand(4, 1, 3, 3) + 1, bits=(2, 8), quantizer=per_tensor
    )
    assert statistics.tensor("activation_gradient").shape == statistics.tensor("activation").shape
    with pytest.raises(gp_emq.errors.StatisticsError, match="layer 'other' sees other images"):
        statistics.tensor("activation_gradient_low")


def test_the_middle_of_two_widths_is_the_higher_and_of_one_the_only_one():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))
    images, labels = torch.randn(8, 1, 3, 3), torch.randint(0, 3, (8,))
    for bits, place in (((2, 4), 1), ((3,), 0), ((2, 3, 4, 8), 2)):
        statistics = gp_emq.collect_statistics(network, images, labels, bits=bits)
        own = gp_emq.collect_statistics(
            all_at(network, statistics, place), images, labels, bits=bits
        )
        torch.testing.assert_close(
            statistics.tensor("weight_gradient_middle"), own.tensor("weight_gradient")
        )


def test_labels_that_are_not_given_are_the_float_networks_answers():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))
    images = torch.randn(8, 1, 3, 3)
    answers = network(images).argmax(1)
    one, other = (
        gp_emq.collect_statistics(network, images, labels, bits=BITS) for labels in (None, answers)
    )
    assert bool((all_at(network, one, 0)(images).argmax(1) != answers).any())
    for name in ("weight_gradient_low", "measured_loss", "measured_metric"):
        assert torch.equal(one.tensor(name), other.tensor(name))


def test_what_only_runs_forward_asks_for_no_derivative():
    class Rounded(nn.Module):
        """Its gradients are not those of what it computes."""

        def forward(self, x):
            return x + (x.round() - x).detach()

    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), Rounded(), nn.Linear(6, 3))
    statistics = gp_emq.collect_statistics(network, torch.randn(8, 1, 3, 3), bits=BITS)
    for name in ("measured_loss", "measured_divergence_low", "relative_output_change"):
        assert statistics.tensor(name).shape == (2, 3)
    for name in STATISTICS:
        if name.endswith(("_low", "_middle")) and not name.startswith(("measured", "recipe")):
            with pytest.raises(gp_emq.errors.StatisticsError):
                statistics.tensor(name)


class Normed(nn.Module):
    """A batch norm whose statistics are far from those of the images, called twice."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 1), nn.Linear(4, 3)
        with torch.no_grad():
            self.norm.running_mean.fill_(2)
            self.norm.running_var.fill_(9)

    def forward(self, images):
        hidden = self.norm(self.first(images)).relu()
        return self.last(self.norm(self.second(hidden)).relu().mean((2, 3)))


def test_batch_norms_may_take_the_statistics_of_the_images():
    """Against a copy of the network in training mode, which normalises by the batch."""
    torch.manual_seed(0)
    network, images = Normed().eval(), torch.randn(12, 1, 6, 6)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    statistics = gp_emq.collect_statistics(network, images, bits=BITS)
    names = perturbations(statistics)

    def outputs(places):
        other = quantized(network, statistics, places)
        other.norm.train()
        with torch.no_grad():
            return other(images.clone()).double().log_softmax(1)

    entries = {layer.name: layer.entry for layer in statistics.layers}
    for base, kind in (
        ({}, "recipe_divergence"),
        (dict.fromkeys(names, 0), "recipe_divergence_low"),
    ):
        one = outputs({})

        def divergence(places, one=one):
            return float((one.exp() * (one - outputs(places))).sum(1).mean())

        found = statistics.tensor(kind)
        for name, entry in entries.items():
            for place in range(len(BITS)):
                expected = divergence({**base, name: place}) - divergence(base)
                assert float(found[entry, place]) == pytest.approx(expected, rel=1e-3, abs=1e-6)
    assert not torch.allclose(
        statistics.tensor("measured_divergence"), statistics.tensor("recipe_divergence")
    )
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_without_batch_norms_there_is_nothing_to_estimate():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))
    statistics = gp_emq.collect_statistics(network, torch.randn(8, 1, 3, 3), bits=BITS)
    for name in ("measured_divergence", "measured_divergence_low"):
        assert torch.equal(
            statistics.tensor(name), statistics.tensor(name.replace("measured", "recipe"))
        )


def test_a_recipe_that_leaves_batch_norms_as_trained_is_measured_so():
    torch.manual_seed(0)
    statistics = gp_emq.collect_statistics(
        Normed(), torch.randn(8, 1, 6, 6), bits=BITS, settings=StatisticsSettings(renormed=False)
    )
    for name in ("measured_divergence", "measured_divergence_low"):
        assert torch.equal(
            statistics.tensor(name), statistics.tensor(name.replace("measured", "recipe"))
        )


def test_weights_are_measured_as_the_recipe_rounds_them():
    """A rounding of one's own, against copies of the network with just those weights."""
    torch.manual_seed(0)
    network, images, asked = Normed().eval(), torch.randn(12, 1, 6, 6), []

    def rounded(layer, width):
        asked.append((layer.name, width))
        return (network.get_submodule(layer.name).weight.detach() * 2**width).floor() / 2**width

    def collect(rounding):
        return gp_emq.collect_statistics(
            network, images, bits=BITS,
            settings=StatisticsSettings(renormed=False), rounding=rounding,
        )  # fmt: skip

    nearest, statistics = collect(None), collect(Rounding("floors", rounded))
    for name in ("measured_divergence", "quantization_mse", "curvature_form"):
        assert torch.equal(statistics.tensor(name), nearest.tensor(name))
    assert torch.equal(statistics.perturbation(), nearest.perturbation())
    assert not asked  # what rounds to the nearest asks the recipe for nothing
    names = [layer.name for layer in statistics.layers]
    with torch.no_grad():
        before = network(images).double().log_softmax(1)

    def divergence(places):
        other = reference_of(network)
        with torch.no_grad():
            for layer in statistics.layers:
                if layer.name in places:
                    weight = rounded(layer, BITS[places[layer.name]])
                    other.get_submodule(layer.name).weight.copy_(weight)
            after = other(images.clone()).double().log_softmax(1)
        return float((before.exp() * (before - after)).sum(1).mean())

    for base, kind in (
        ({}, "recipe_divergence"),
        (dict.fromkeys(names, 0), "recipe_divergence_low"),
    ):
        found = statistics.tensor(kind)
        for layer in statistics.layers:
            for place in range(len(BITS)):
                expected = divergence({**base, layer.name: place}) - divergence(base)
                assert float(found[layer.entry, place]) == pytest.approx(
                    expected, rel=1e-3, abs=1e-6
                )
    assert {*asked} == {(name, width) for name in names for width in BITS}
    assert statistics.fingerprint not in {
        nearest.fingerprint, collect(Rounding("others", rounded)).fingerprint,
    }  # fmt: skip


def test_one_image_has_no_statistics_of_batch_norms():
    statistics = gp_emq.collect_statistics(Normed(), torch.randn(1, 1, 6, 6), bits=BITS)
    with pytest.raises(gp_emq.errors.StatisticsError, match="at least 2 images, not 1"):
        statistics.tensor("recipe_divergence")
