import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gp_emq.determinism import one_thread
from gp_emq.errors import NetworkError
from gp_emq.networks import find_layers, load_images, load_network, untrained_network
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedNetwork,
    WeightQuantizer,
    calibrate_activations,
    fake_quantize,
    integer_convolution_available,
)
from gp_emq.quantization._batch_norm import estimating
from gp_emq.quantization._quantized_network import quantize_weights

needs_integers = pytest.mark.skipif(
    not integer_convolution_available(), reason="this torch has no 8-bit convolution here"
)


@pytest.fixture(autouse=True)
def _one_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def digits():
    network = load_network("digits")
    training = load_images("digits", part="training")
    test = load_images("digits", part="test")
    return network, training.images[:64], test.images[:500], test.labels[:500]


def make(network, images, *, integer=False, quantizer=None, bits=(2, 3, 4, 8)):
    quantizer = quantizer or WeightQuantizer()
    return QuantizedNetwork(
        network.model,
        network.layers,
        quantize_weights(network.model, network.layers, bits, quantizer),
        calibrate_activations(network.model, network.layers, images, ActivationQuantizer()),
        integer=integer,
    )


def test_a_configuration_quantizes_weights_and_inputs_of_each_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 36, 3)).eval()
    layers = find_layers(model, torch.zeros(1, 1, 8, 8))
    images = torch.rand(4, 1, 8, 8) - 0.2
    grids = calibrate_activations(model, layers, images, ActivationQuantizer())
    weights = quantize_weights(model, layers, (2, 4), WeightQuantizer())
    quantized = QuantizedNetwork(model, layers, weights, grids)
    quantized.configure([4, 2])
    first = fake_quantize(model[0].weight, WeightQuantizer().parameters(model[0].weight, 4))
    second = fake_quantize(model[3].weight, WeightQuantizer().parameters(model[3].weight, 2))
    x = F.relu(F.conv2d(fake_quantize(images, grids[0]), first, model[0].bias))
    x = F.linear(fake_quantize(x.flatten(1), grids[1]), second, model[3].bias)
    torch.testing.assert_close(quantized.logits(images), x.detach())


def test_activation_grids_span_the_calibration_values(digits):
    network, images, *_ = digits
    grids = calibrate_activations(network.model, network.layers, images, ActivationQuantizer())
    low, high = min(float(images.min()), 0), float(images.max())
    assert float(grids[0].scale) == pytest.approx((high - low) / 255)
    # What follows a ReLU has nothing below zero.
    assert all(float(grid.zero_point) == 0 for grid in grids[1:])


def test_the_float_network_is_left_alone(digits):
    network, images, *_ = digits
    before = copy.deepcopy(network.model.state_dict())
    quantized = make(network, images)
    quantized.configure([2] * 14)
    with estimating(quantized.norms):
        quantized.logits(images)
    assert all(torch.equal(v, before[k]) for k, v in network.model.state_dict().items())


def test_eight_bits_are_as_good_as_floats(digits):
    network, images, test, labels = digits
    quantized = make(network, images)
    quantized.configure([8] * 14)
    share = quantized.correct(test, labels, 100).double().mean()
    with torch.no_grad():
        floating = (network.model(test).argmax(1) == labels).double().mean()
    assert abs(float(share - floating)) < 0.01


@pytest.mark.parametrize("integer", [False, pytest.param(True, marks=needs_integers)])
def test_what_came_before_does_not_matter(digits, integer):
    network, images, test, _ = digits
    used, fresh = make(network, images, integer=integer), make(network, images, integer=integer)
    used.configure([2] * 14)
    with estimating(used.norms):
        used.logits(images)
    used.logits(test)
    configuration = [2, 3, 4] * 4 + [3, 4]
    for quantized in (used, fresh):
        quantized.configure(configuration)
    assert torch.equal(used.logits(test), fresh.logits(test))


@pytest.mark.parametrize("integer", [False, pytest.param(True, marks=needs_integers)])
def test_batch_norm_takes_the_statistics_of_the_batch(digits, integer):
    network, images, *_ = digits
    quantized = make(network, images, integer=integer)
    quantized.configure([3] * 14)
    with estimating(quantized.norms):
        quantized.logits(images)
    weight = fake_quantize(
        network.model.conv1.weight, WeightQuantizer().parameters(network.model.conv1.weight, 3)
    )
    grid = calibrate_activations(network.model, network.layers[:1], images, ActivationQuantizer())
    out = F.conv2d(fake_quantize(images, grid[0]), weight, padding=1).detach()
    norm = next(m for m in quantized.model.modules() if isinstance(m, nn.BatchNorm2d))
    torch.testing.assert_close(norm.running_mean, out.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, out.var((0, 2, 3)), atol=1e-5, rtol=1e-4)


@needs_integers
@pytest.mark.parametrize("reestimate", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_integers_agree_with_floats(digits, reestimate, per_channel):
    network, images, test, labels = digits
    quantizer = WeightQuantizer(per_channel=per_channel)
    both = [make(network, images, integer=i, quantizer=quantizer) for i in (False, True)]
    for configuration in ([4] * 14, [2, 3, 4, 4, 3, 2, 2] * 2):
        right = []
        for quantized in both:
            quantized.configure(configuration)
            if reestimate:
                with estimating(quantized.norms):
                    quantized.logits(images)
            right.append(quantized.correct(test, labels, 100))
        assert int((right[0] != right[1]).sum()) <= 3


@needs_integers
def test_the_first_integer_layers_agree_closely_with_floats():
    # With one block, no rounding that fell to the other side has been amplified yet.
    network = untrained_network("resnet20", 1)
    network.model.layer1, network.model.layer2 = network.model.layer1[:1], nn.Identity()
    network.model.layer3, network.model.linear = nn.Identity(), nn.Linear(16, 10)
    layers = find_layers(network.model, torch.zeros(1, 3, 32, 32))
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    logits = []
    for integer in (False, True):
        quantized = QuantizedNetwork(
            network.model,
            layers,
            quantize_weights(network.model, layers, (4,), WeightQuantizer()),
            calibrate_activations(network.model, layers, images, ActivationQuantizer()),
            integer=integer,
        )
        quantized.configure([4] * len(layers))
        logits.append(quantized.logits(images))
    torch.testing.assert_close(logits[0], logits[1], atol=2e-3, rtol=2e-3)


@needs_integers
def test_networks_of_other_shapes_run_over_integers_too():
    class Branches(nn.Module):
        """Biases, groups, strides, a module called twice, and a sum read after its addend."""

        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
            self.shared = nn.Conv2d(8, 8, 3, padding=1, groups=8)
            self.norm = nn.BatchNorm2d(8)
            self.point = nn.Conv2d(8, 8, 1)
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = F.relu6(self.stem(x))
            y = self.norm(self.shared(x))
            z = self.point(y) + x
            z = self.shared(z) * x
            return self.head((z + y).mean((2, 3)))

    torch.manual_seed(1)
    model = Branches().eval()
    layers = find_layers(model, torch.zeros(1, 3, 16, 16))
    images = torch.randn(6, 3, 16, 16)
    grids = calibrate_activations(model, layers, images, ActivationQuantizer())
    weights = quantize_weights(model, layers, (8,), WeightQuantizer())
    results = []
    for integer in (False, True):
        quantized = QuantizedNetwork(model, layers, weights, grids, integer=integer)
        quantized.configure([8] * 4)
        results.append(quantized.logits(images))
    torch.testing.assert_close(results[0], results[1], atol=0.02, rtol=0.02)


@needs_integers
def test_a_network_that_cannot_be_traced_still_runs_over_integers():
    class Hesitant(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, x):
            x = self.norm(self.conv(x))
            return x.mean((2, 3)) if x.sum() > -1e9 else x.amax((2, 3))

    torch.manual_seed(2)
    model = Hesitant().eval()
    layers = find_layers(model, torch.zeros(1, 1, 8, 8))
    images = torch.rand(4, 1, 8, 8)
    grids = calibrate_activations(model, layers, images, ActivationQuantizer())
    weights = quantize_weights(model, layers, (4,), WeightQuantizer())
    results = []
    for integer in (False, True):
        quantized = QuantizedNetwork(model, layers, weights, grids, integer=integer)
        quantized.configure([4])
        results.append(quantized.logits(images))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)


def test_a_configuration_of_another_length_is_refused(digits):
    network, images, *_ = digits
    with pytest.raises(ValueError, match="14 entries, not 3"):
        make(network, images).configure([2, 2, 2])


def test_a_layer_that_is_never_called_has_no_grid(digits):
    network, images, *_ = digits

    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.unused = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, images):
            return self.used(images)

    layers = [replace(network.layers[0], name=name) for name in ("used", "unused")]
    with pytest.raises(NetworkError, match="no calibration image calls layer 'unused'"):
        calibrate_activations(Idle(), layers, images, ActivationQuantizer())
