"""Weights that a network keeps beside their layers: in attributes, containers and functions.

What is right is what the caller's own network gives once its weight is changed in place, since all
that lies on the same memory changes with it.
"""

import functools

import numpy as np
import pytest
import torch
from random_networks import everything_of, same
from torch import nn
from torch.nn import functional

import gp_emq
from gp_emq.errors import NetworkError
from gp_emq.export import load_quantized, save_packed
from gp_emq.networks import find_layers
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedNetwork,
    WeightQuantizer,
    calibrate_activations,
)
from gp_emq.quantization._quantized_network import quantize_weights


class Beside(nn.Module):
    """Uses the weight of its product once more, out of where it was kept."""

    def __init__(self, keep, use):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.product = nn.Conv2d(2, 4, 3), nn.Linear(4, 4)
            self.head = nn.Linear(4, 3)
        keep(self)
        self.use = use

    def forward(self, x):
        hidden = self.product(self.conv(x).relu().mean((2, 3)))
        return self.head(hidden.relu() + hidden @ self.use(self))


class Anything:
    """An object of the user's own."""


def attribute(value_of):
    return lambda net: setattr(net, "kept", value_of(net.product.weight))


def in_an_object(net):
    net.kept = Anything()
    net.kept.inside = {"deep": [net.product.weight.data]}


def in_a_closure(net):
    weight = net.product.weight.data
    net.kept = lambda: weight


def giving(weight):
    return lambda: weight


def as_parameter(net):
    net.other = nn.Parameter(net.product.weight.data)


def in_a_module(net):
    net.kept = [nn.Linear(4, 4)]
    net.kept[0].weight = net.product.weight


KEPT = {
    "data": (attribute(lambda w: w.data), lambda net: net.kept),
    "detached": (attribute(lambda w: w.detach()), lambda net: net.kept),
    "a view with a history": (attribute(lambda w: w.view(4, 4)), lambda net: net.kept),
    "in a list": (attribute(lambda w: [w]), lambda net: net.kept[0]),
    "in a tuple": (attribute(lambda w: (1, (w.data, 2))), lambda net: net.kept[1][0]),
    "in a dict": (attribute(lambda w: {"w": w.data}), lambda net: net.kept["w"]),
    "in an object": (in_an_object, lambda net: net.kept.inside["deep"][0]),
    "in a closure": (in_a_closure, lambda net: net.kept()),
    "by name of an argument": (
        lambda net: setattr(net, "kept", functools.partial(lambda w: w, w=net.product.weight)),
        lambda net: net.kept(),
    ),
    "a parameter": (as_parameter, lambda net: net.other),
    "in a module that is not registered": (in_a_module, lambda net: net.kept[0].weight),
}
OVERLAPPING = {
    "transposed": lambda w: w.data.t(),
    "a part": lambda w: w.data[:, :2],
    "flat": lambda w: w.data.view(-1),
    "in another type": lambda w: w.data.view(torch.int32),
    "transposed, with a history": lambda w: w.t(),
}


@pytest.fixture(params=list(KEPT))
def model(request):
    return Beside(*KEPT[request.param]).eval()


@pytest.fixture(scope="module")
def batch():
    images = torch.randn(12, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    return images, torch.arange(12) % 3


def with_weights(model, values):
    """The outputs of the caller's own network with weights changed in place, and put back."""
    own = {name: model.get_submodule(name).weight for name in values}
    before = {name: weight.detach().clone() for name, weight in own.items()}
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)

    def put_back():
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(before[name])

    return put_back


@pytest.mark.parametrize("method", ["rtn", "adaround", "brecq"])
def test_it_is_quantized_wherever_it_is(model, batch, method, tmp_path):
    images, before = batch[0], everything_of(model)
    options = {} if method == "rtn" else {"iterations": 2}
    found = gp_emq.quantize(
        model, {"product": 2, "head": 4}, images, method=method, activation_bits=32, **options
    )
    assert same(before, everything_of(model))
    put_back = with_weights(
        model, {name: weight.values() for name, weight in found.weights.items()}
    )
    right = model(images).detach()
    put_back()
    torch.testing.assert_close(found(images), right)
    assert float((right - model(images)).detach().abs().max()) > 1e-2
    path = tmp_path / "packed.safetensors"
    save_packed(found, find_layers(model, images[:1]), path)
    torch.testing.assert_close(load_quantized(path, model)(images), right)


def test_losses_are_those_of_a_change_of_all(model, batch):
    images, labels = batch
    before = everything_of(model)
    statistics = gp_emq.collect_statistics(model, images, labels, bits=(2, 4))
    table = gp_emq.load_proxy("loss_change").table(statistics)
    changes = statistics.layout("WeightsPerBit").views(statistics.perturbation())[1]
    assert same(before, everything_of(model))
    plain = functional.cross_entropy(model(images).double(), labels)
    for column in range(2):
        put_back = with_weights(model, {"product": model.product.weight + changes[column]})
        after = functional.cross_entropy(model(images).double(), labels)
        put_back()
        assert table[1, column] == pytest.approx(
            float((plain - after).detach()), rel=1e-5, abs=1e-8
        )


def test_gradients_reach_every_use(model, batch):
    """Against one Parameter, which autograd itself follows to both uses."""
    statistics = gp_emq.collect_statistics(model, *batch, bits=(2, 4))
    whole = Beside(lambda net: None, lambda net: net.product.weight).eval()
    loss = functional.cross_entropy(whole(batch[0]), batch[1])
    right = torch.autograd.grad(loss, whole.product.weight, create_graph=True)[0]
    found = statistics.layout("Weights").views(statistics.tensor("weight_gradient"))[1]
    torch.testing.assert_close(found, right.detach())
    squares = sum(
        torch.autograd.grad(functional.cross_entropy(whole(x), y), whole.product.weight)[0].square()
        for x, y in zip(batch[0].split(1), batch[1].split(1), strict=True)
    )
    fisher = statistics.layout("Weights").views(statistics.tensor("fisher_diagonal"))[1]
    torch.testing.assert_close(fisher, squares / len(batch[0]))
    for name in ("fit", "hawq", "relative_output_error", "fisher_block"):
        assert np.isfinite(gp_emq.load_proxy(name).table(statistics)).all()


@pytest.mark.parametrize("kind", list(OVERLAPPING))
def test_what_overlaps_without_being_the_same_is_refused_naming_both(kind, batch):
    model = Beside(attribute(OVERLAPPING[kind]), lambda net: net.product.weight)
    calls = (
        lambda: find_layers(model, batch[0]),
        lambda: gp_emq.collect_statistics(model, *batch, bits=(2, 4)),
        lambda: gp_emq.quantize(model, {"product": 2}, batch[0], method="rtn"),
    )
    for call in calls:
        with pytest.raises(NetworkError, match=r"'kept' and 'product\.weight' share") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "keep",
    [
        lambda net: setattr(net, "kept", lambda weight=net.product.weight: weight),
        lambda net: setattr(net, "kept", functools.partial(torch.clone, net.product.weight.data)),
        lambda net: setattr(net, "kept", [giving(net.product.weight)]),
    ],
    ids=["a default", "an argument", "a function in a list"],
)
def test_what_a_copy_cannot_follow_is_refused(keep, batch):
    model = Beside(keep, lambda net: net.product.weight)
    before = everything_of(model)
    with pytest.raises(NetworkError, match="'kept") as error:
        gp_emq.quantize(model, {"product": 2}, batch[0], method="rtn")
    assert "\n" not in str(error.value)
    assert same(before, everything_of(model))


def test_a_clone_is_a_constant(batch):
    model = Beside(attribute(lambda w: w.detach().clone()), lambda net: net.kept).eval()
    quantized = gp_emq.quantize(model, {"product": 2}, batch[0], activation_bits=32, method="rtn")
    put_back = with_weights(model, {"product": quantized.weights["product"].values()})
    right = model(batch[0]).detach()
    put_back()
    torch.testing.assert_close(quantized(batch[0]), right)


class ConvolvedAgain(nn.Module):
    """Convolves twice with the weight of one convolution, which it keeps."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 3)
        self.kept = self.conv.weight.data

    def forward(self, x):
        x = functional.conv2d(self.conv(x).relu(), self.kept, padding=1)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("integer", [True, False])
def test_configurations_of_a_bench_reach_it(integer, batch):
    model, images = ConvolvedAgain().eval(), batch[0]
    layers = find_layers(model, images[:1])
    weights = quantize_weights(model, layers, (2, 4), WeightQuantizer(per_channel=True))
    grids = calibrate_activations(model, layers, images, ActivationQuantizer())
    network = QuantizedNetwork(model, layers, weights, grids, integer=integer)
    for widths in ((2, 4), (4, 2)):
        network.configure(widths)
        quantized = gp_emq.quantize(
            model, dict(zip(("conv", "head"), widths, strict=True)), images,
            quantizer=WeightQuantizer(per_channel=True), activation_rule="minmax", method="rtn",
        )  # fmt: skip
        torch.testing.assert_close(network.logits(images), quantized(images), rtol=1e-4, atol=1e-5)
