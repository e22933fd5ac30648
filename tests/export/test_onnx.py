import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from onnx_graphs import LEVELS, run
from quantized_networks import Transformer, live_norms, noise, quantize_network, small_mobilenet
from torch import Tensor, nn

from gp_emq.export import export_onnx, format_report
from gp_emq.networks import find_layers, load_images, load_network, untrained_network
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    WeightQuantizer,
    integer_range,
)


def kinds(path: Path) -> dict[str, str]:
    """Type of every initializer of a file."""
    names = {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}
    graph = onnx.load(path).graph
    return {tensor.name: names[tensor.data_type] for tensor in graph.initializer}


class Chain(nn.Module):
    """A convolution and linear layers, the last of which is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 4, 3, padding=1)
        self.b = nn.Linear(4, 6)
        self.c = nn.Linear(6, 4, bias=False)
        self.d = nn.Linear(4, 4)
        self.e = nn.Linear(4, 4)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.a(images).relu().amax((2, 3))
        hidden = self.d(self.c(self.b(hidden)))
        return self.e(hidden + self.e(hidden))


# Width, symmetric and per channel of each layer's weight, and width and symmetric of its input.
CHAIN = {
    "a": (8, True, True, 8, False),
    "b": (5, False, True, 6, True),
    "c": (4, True, False, 4, False),
    "d": (3, False, False, 3, True),
    "e": (2, True, True, 2, False),
}


@pytest.fixture(scope="module")
def chain() -> QuantizedModel:
    """A network whose sums are exact in float32: all numbers are few multiples of small powers."""
    generator = torch.Generator().manual_seed(0)
    model = Chain()
    weights, inputs = {}, {}
    for name, (bits, symmetric, per_channel, input_bits, input_symmetric) in CHAIN.items():
        layer = model.get_submodule(name)
        if layer.bias is not None:
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape, generator=generator) / 4
        low, high = integer_range(bits, symmetric=symmetric)
        shape = layer.weight.shape
        integers = torch.randint(low, high + 1, shape, generator=generator).to(torch.int16)
        scales = (shape[0], *[1] * (len(shape) - 1)) if per_channel else ()
        scale = 2.0 ** -torch.randint(3, 5, scales, generator=generator).float()
        zero_point = torch.zeros(scales)
        if not symmetric:
            zero_point = torch.randint(low, high + 1, scales, generator=generator).float()
        weights[name] = QuantizedWeight(
            integers, QuantizationParameters(scale, zero_point, low, high)
        )
        low, high = integer_range(input_bits, symmetric=input_symmetric)
        middle = torch.tensor(0.0 if input_symmetric else float(high // 2))
        inputs[name] = QuantizationParameters(torch.tensor(0.25), middle, low, high)
    return QuantizedModel(model, weights, inputs)


@pytest.mark.parametrize(
    ("opset", "weight_types"),
    [
        (18, {"a": "int8", "b": "uint8", "c": "int8", "d": "uint8", "e": "int8"}),
        (21, {"a": "int8", "b": "uint8", "c": "int4", "d": "uint4", "e": "int4"}),
        (25, {"a": "int8", "b": "uint8", "c": "int4", "d": "uint4", "e": "int2"}),
    ],
)
def test_where_sums_are_exact_outputs_are_equal(tmp_path, chain, opset, weight_types) -> None:
    path = tmp_path / "chain.onnx"
    layers = find_layers(chain.network, torch.zeros(1, 2, 4, 4))
    report = export_onnx(chain, layers, path, (2, 4, 4), opset=opset)
    # Multiples of half a step: every second one lies between two grid values.
    images = torch.randint(-40, 40, (64, 2, 4, 4), generator=torch.Generator().manual_seed(1)) / 8
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        assert torch.equal(run(path, images, level), chain(images))
    assert {layer.name: layer.stored_as for layer in report.layers} == weight_types
    types = kinds(path)
    assert {name: types[f"{name}.weight.integers"] for name in weight_types} == weight_types
    narrowest = min(width for width in (2, 4, 8) if {2: 25, 4: 21, 8: 18}[width] <= opset)
    assert types["c.input.zero_point"] == f"uint{max(narrowest, 4)}"
    assert types["b.input.zero_point"] == "int8"
    # A reader that is not ours finds the integers of every layer.
    for tensor in onnx.load(path).graph.initializer:
        if tensor.name.endswith(".weight.integers"):
            integers = numpy_helper.to_array(tensor).astype(np.int16)
            expected = chain.weights[tensor.name.removesuffix(".weight.integers")].integers
            np.testing.assert_array_equal(integers, expected.numpy())


def digits():
    network = load_network("digits")
    images = load_images("digits", part="test").images[:300]
    widths = {layer.name: (2, 3, 4, 8)[i % 4] for i, layer in enumerate(network.layers)}
    return network.model, images, widths, {}


def resnet20():
    network = untrained_network("resnet20")
    widths = {layer.name: (4, 8)[i % 2] for i, layer in enumerate(network.layers)}
    return live_norms(network.model), noise(16, 3, 32, 32), widths, {}


def mobilenet():
    per_channel = WeightQuantizer(per_channel=True, symmetric=False, scale_rule="minmax")
    return small_mobilenet(), noise(16, 3, 32, 32), 4, {"weights": per_channel}


def transformer():
    torch.manual_seed(0)
    return Transformer(), noise(50, 1, 8, 8), 8, {"activations": ActivationQuantizer(4)}


# Where convolutions are computed in integers, their biases are rounded to integers too.
@pytest.mark.parametrize(
    ("make", "median"),
    [
        (digits, 5e-3),
        pytest.param(resnet20, 1e-2, marks=pytest.mark.slow),
        (mobilenet, 5e-3),
        (transformer, 1e-5),
    ],
)
def test_onnxruntime_agrees_with_torch(tmp_path, make, median) -> None:
    model, images, widths, quantizers = make()
    quantized, layers = quantize_network(model, images, widths, **quantizers)
    path = tmp_path / "network.onnx"
    export_onnx(quantized, layers, path, images.shape[1:])
    with torch.no_grad():
        expected = quantized(images)
    logits = run(path, images)
    # Sums in another order differ in their last digits, and an activation that lies between two
    # grid values then takes the other one: few images differ, and by few steps.
    spread = float(expected.std())
    assert float((logits - expected).abs().median()) < median * spread
    assert float((logits - expected).abs().max()) < 0.05 * spread
    assert (logits.argmax(1) == expected.argmax(1)).double().mean() >= 0.99
    # The size of the batch is free.
    torch.testing.assert_close(run(path, images[:1]), logits[:1], atol=0.05 * spread, rtol=0)


class Fused(nn.Module):
    """Has before its quantizers what onnxruntime fuses with them or moves them past."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.third = nn.Conv2d(4, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.nn.functional.max_pool2d(self.first(images), 2)
        hidden = self.third(torch.nn.functional.relu6(self.second(hidden)))
        return hidden.flatten(1)


@pytest.mark.parametrize("symmetric", [False, True])
def test_inputs_of_four_bits_survive_the_optimizations_of_onnxruntime(tmp_path, symmetric) -> None:
    torch.manual_seed(0)
    images = noise(8, 2, 10, 10)
    activations = ActivationQuantizer(4, symmetric=symmetric)
    quantized, layers = quantize_network(Fused(), images, 8, activations=activations)
    path = tmp_path / "fused.onnx"
    export_onnx(quantized, layers, path, (2, 10, 10))
    torch.testing.assert_close(run(path, images), quantized(images).detach(), atol=1e-4, rtol=0)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2, affine=False)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.second.weight = self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.norm(self.first(images)).relu()).mean((2, 3))


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    torch.manual_seed(0)
    quantized, layers = quantize_network(Tied(), noise(4, 2, 4, 4), {"first": 3, "second": 3})
    path = tmp_path_factory.mktemp("tied") / "tied.onnx"
    report = export_onnx(quantized, layers, path, (2, 4, 4), provenance={"network": "tied"})
    return path, quantized, layers, report


def test_tied_weights_are_stored_once(tied) -> None:
    path, quantized, _, _ = tied
    images = noise(4, 2, 4, 4)
    torch.testing.assert_close(run(path, images), quantized(images).detach())
    integers = [name for name in kinds(path) if name.endswith("weight.integers")]
    assert integers == ["first.weight.integers"]


def test_a_file_says_what_it_is_and_nothing_of_where_it_was_made(tied) -> None:
    model = onnx.load(tied[0])
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "gp_emq"
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 21)]
    batch, *shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (batch.dim_param, [side.dim_value for side in shape]) == ("batch", [2, 4, 4])
    (entry,) = model.metadata_props
    description = json.loads(entry.value)
    assert entry.key == "gp_emq"
    assert description["provenance"] == {"network": "tied"}
    assert description["weights"]["first"] == {"bits": 3, "symmetric": True, "shape": [2, 2, 3, 3]}
    assert b"site-packages" not in tied[0].read_bytes()
    assert str(Path(__file__).parent).encode() not in tied[0].read_bytes()


def test_equal_networks_give_equal_bytes(tied, tmp_path) -> None:
    path, quantized, layers, _ = tied
    again = tmp_path / "again.onnx"
    export_onnx(quantized, layers, again, (2, 4, 4), provenance={"network": "tied"})
    assert again.read_bytes() == path.read_bytes()


def test_the_report_says_what_is_stored(tied) -> None:
    path, _, _, report = tied
    assert report.file_bytes == path.stat().st_size
    cells = [line.split() for line in format_report(report).splitlines()]
    # 36 integers of 3 bits take 18 bytes as int4; the second layer has the weight of the first.
    assert ["first", "3", "int4", "18", "4", "8"] in cells
    assert ["second", "3", "that", "of", "first", "0", "0", "8"] in cells
    # 2 scales of 4 bytes and 2 zero points of 1 for the inputs.
    assert sum(size for name, size in report.other.items() if ".input." in name) == 10


def test_the_report_says_that_a_network_draws_random_numbers(tmp_path) -> None:
    class Noisy(nn.Module):
        def __init__(self, *, draws: bool) -> None:
            super().__init__()
            self.layer, self.draws = nn.Linear(4, 4), draws

        def forward(self, x: Tensor) -> Tensor:
            found = nn.functional.dropout(self.layer(x), training=False)
            return found + torch.randn_like(found) if self.draws else found

    for draws in (True, False):
        model = nn.Sequential(Noisy(draws=draws))
        quantized, layers = quantize_network(model, noise(4, 4), 4)
        report = export_onnx(quantized, layers, tmp_path / "noisy.onnx", (4,))
        assert report.draws == (("RandomNormalLike",) if draws else ())
        assert ("draws random numbers (RandomNormalLike)" in format_report(report)) == draws


@dataclass
class Found:
    scores: Tensor
    name: str = "mine"


def test_outputs_in_a_data_class_are_those_of_the_file(tmp_path) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Found:
            return Found(self.layer(x))

    samples = noise(6, 4)
    quantized, layers = quantize_network(Named(), samples, 4)
    export_onnx(quantized, layers, tmp_path / "named.onnx", (4,))
    found = run(tmp_path / "named.onnx", samples)
    assert torch.allclose(found, quantized(samples).scores, atol=1e-6)
