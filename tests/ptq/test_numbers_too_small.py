"""Weights and inputs so small that float32 has no scale for their grid."""

import copy

import pytest
import torch
from small_networks import pictures
from torch import nn

import gp_emq
from gp_emq.errors import DataError, NetworkError, QuantizationError
from gp_emq.networks import Workload, find_layers
from gp_emq.quantization import ActivationQuantizer, WeightQuantizer, calibrate_activations
from gp_emq.quantization._quantized_network import quantize_weights

RULES = ("mse", "minmax", "percentile", "mse-shrunk")
METHODS = ("rtn", "rtn+bn", "adaround", "brecq")


class Faint(nn.Module):
    """A convolution whose weights and inputs are scaled, and the scale undone behind it."""

    def __init__(self, weights: float = 1.0, inputs: float = 1.0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(2, 4, 3, bias=False), nn.Linear(4, 3)
        self.conv.weight.data *= weights
        self.inputs = inputs

    def forward(self, images):
        hidden = self.conv(images * self.inputs)
        return self.head((hidden / hidden.detach().abs().max()).relu().mean((2, 3)))


def said(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert error.value.status == 2
    return text


@pytest.mark.parametrize("scale", [1e-37, 1e-38, 1e-40, 1e-43])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rule", RULES)
def test_weights_without_a_scale_are_refused_by_name(scale, per_channel, symmetric, rule):
    quantizer = WeightQuantizer(symmetric, per_channel, rule)
    with pytest.raises(QuantizationError, match="the weights of layer 'conv' are at most") as error:
        gp_emq.quantize(
            Faint(scale), {"conv": 8, "head": 8}, pictures(), quantizer=quantizer,
            activation_bits=32, method="rtn",
        )  # fmt: skip
    assert "1.18e-38" in said(error)


@pytest.mark.parametrize("method", METHODS)
def test_no_method_rounds_them_wrongly(method):
    with pytest.raises(QuantizationError, match="the weights of layer 'conv'") as error:
        gp_emq.quantize(Faint(1e-40), {"conv": 4, "head": 8}, pictures(), method=method)
    said(error)


@pytest.mark.parametrize("rule", ["minmax", "robust", "percentile", "mse"])
@pytest.mark.parametrize("scale", [1e-37, 1e-40, 1e-43])
def test_inputs_without_a_scale_are_refused_by_name(rule, scale):
    model, images = Faint(inputs=scale), pictures()
    widths = {"conv": 8, "head": 8}
    with pytest.raises(QuantizationError, match="the inputs of layer 'conv' are at most") as error:
        gp_emq.quantize(model, widths, images, activation_rule=rule, method="rtn")
    said(error)
    with pytest.raises(QuantizationError, match="the inputs of layer 'conv'"):
        calibrate_activations(
            model, find_layers(model, images[:1]), images, ActivationQuantizer(scale_rule=rule)
        )
    gp_emq.quantize(model, {"head": 8}, images, activation_rule=rule, method="rtn")


def test_the_smallest_scales_that_there_are_round_as_others_do():
    # A power of two costs no digit, so that integers are those of the network as it was.
    images, shift = pictures(), 2.0**-110
    plain, faint = Faint(), Faint(shift)
    found, right = (
        gp_emq.quantize(one, {"conv": 8}, images, activation_bits=32, method="rtn").weights["conv"]
        for one in (faint, plain)
    )
    assert torch.equal(found.integers, right.integers)
    assert torch.equal(found.parameters.scale, right.parameters.scale * shift)


def test_an_output_channel_that_is_nothing_beside_the_others_may_be_zero():
    model, images = Faint(), pictures()
    with torch.no_grad():
        model.conv.weight[1] *= 1e-41
    without = copy.deepcopy(model)
    with torch.no_grad():
        without.conv.weight[1] = 0
    found, right = (
        gp_emq.quantize(one, {"conv": 8, "head": 8}, images, method="rtn")
        for one in (model, without)
    )
    torch.testing.assert_close(found(images), right(images))


def test_float64_that_float32_has_no_room_for_is_refused():
    model, images = Faint().double(), pictures().double()
    model.conv.weight.data *= 1e-50
    calls = (
        lambda: gp_emq.quantize(model, {"conv": 8}, images, method="rtn"),
        lambda: gp_emq.collect_statistics(model, images, bits=(4, 8)),
    )
    for call in calls:
        with pytest.raises(NetworkError, match=r"conv\.weight holds at most") as error:
            call()
        said(error)


def test_images_in_float64_that_float32_has_no_room_for_are_refused():
    tiny = pictures().double() * 1e-50
    calls = (
        lambda: gp_emq.quantize(Faint(), {"conv": 8}, tiny, method="rtn"),
        lambda: gp_emq.collect_statistics(Faint(), tiny, bits=(4, 8)),
        lambda: Workload(Faint(), tiny, forward=lambda network, x: network(x)),
    )
    for call in calls:
        with pytest.raises(DataError, match="too small for float32") as error:
            call()
        said(error)


def test_a_bench_of_them_is_refused_too():
    model, images = Faint(1e-40), pictures()
    layers = find_layers(model, images[:1])
    with pytest.raises(QuantizationError, match="the weights of layer 'conv'"):
        quantize_weights(model, layers, (2, 8), WeightQuantizer())
