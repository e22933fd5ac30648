import onnx
import pytest
import torch
from onnx_graphs import LEVELS, operators, run
from quantized_networks import noise, quantize_network
from torch import Tensor, nn

from gp_emq.export import export_onnx
from gp_emq.networks import find_layers
from gp_emq.quantization import QuantizationParameters, QuantizedModel, QuantizedWeight


class Normed(nn.Module):
    """Convolutions with a batch norm behind them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(8, eps=0.0)
        self.second = nn.Conv2d(8, 8, 3, groups=8)
        self.second_norm = nn.BatchNorm2d(8, eps=0.0)
        self.third = nn.Conv2d(8, 3, 3, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first_norm(self.first(images)).relu()
        hidden = torch.nn.functional.relu6(self.second_norm(self.second(hidden)))
        return self.third(hidden).flatten(1)


def exact(bits: int, *, symmetric: bool) -> QuantizedModel:
    """A network whose sums, steps of biases included, are exact in float32."""
    generator = torch.Generator().manual_seed(bits)
    model = Normed().eval()
    weights, inputs = {}, {}
    for name, input_scale in (("first", 0.25), ("second", 0.5), ("third", 6 / 256)):
        layer = model.get_submodule(name)
        # 7 bits have the integers to 64, and 4 bits those to 8: numbers of the form 64 / 2^k.
        low = {4: -8, 8: -96}[bits]
        integers = torch.randint(low // 2, -low // 2, layer.weight.shape, generator=generator)
        integers[:, 0, 0, 0] = low
        exponents = torch.randint(5, 7, (len(integers), 1, 1, 1), generator=generator)
        scale = 2.0 ** -(exponents + (2 if bits == 8 else 0)).float()
        zero = torch.zeros_like(scale)
        limits = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
        if not symmetric:
            zero, limits = zero + (1 << (bits - 1)), (0, (1 << bits) - 1)
            integers = integers + (1 << (bits - 1))
        grid = QuantizationParameters(scale, zero, *limits)
        weights[name] = QuantizedWeight(integers.to(torch.int16), grid)
        zero_point = torch.tensor(3.0 if name == "first" else 0.0)
        inputs[name] = QuantizationParameters(torch.tensor(input_scale), zero_point, 0, 255)
    for norm in (model.first_norm, model.second_norm):
        norm.weight.data = torch.tensor([1.0, 2.0, -1.0, 0.5, 0.0, -0.5, 1.0, 1.0])
        norm.running_var.data = torch.tensor([4.0, 16.0, 4.0, 1.0, 1.0, 4.0, 4.0, 16.0])
        for tensor in (norm.bias, norm.running_mean):
            tensor.data = torch.randint(-8, 8, (8,), generator=generator) / 4
    model.second.bias.data = torch.randint(-8, 8, (8,), generator=generator) / 4
    return QuantizedModel(model, weights, inputs)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("opset", [18, 21])
def test_batch_norms_fold_to_the_same_outputs(tmp_path, bits, symmetric, opset) -> None:
    path = tmp_path / "exact.onnx"
    network = exact(bits, symmetric=symmetric)
    layers = find_layers(network.network, torch.zeros(1, 2, 7, 7))
    export_onnx(network, layers, path, (2, 7, 7), opset=opset)
    images = torch.randint(-40, 160, (32, 2, 7, 7), generator=torch.Generator().manual_seed(1)) / 8
    expected = network(images).detach()
    assert expected.std() > 0.1
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        assert torch.equal(run(path, images, level), expected)
    found = operators(path)
    assert found["QLinearConv"] == 2
    assert found["BatchNormalization"] == found["Relu"] == found["Clip"] == 0
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert kinds["first.bias.integers"] == kinds["second.bias.integers"] == onnx.TensorProto.INT32
    assert not [name for name in kinds if "norm" in name]


class Shared(nn.Module):
    """Reads what is between a convolution and the next one elsewhere too."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        convolved = self.first(images)
        normed = self.norm(convolved)
        hidden = normed.relu()
        result = self.second(hidden) + self.third(hidden)
        also = {"convolution": convolved, "norm": normed, "activation": hidden, "none": 0.0}
        return (result + also[self.where]).flatten(1)


@pytest.mark.parametrize("where", ["convolution", "norm", "activation", "none"])
def test_what_is_read_elsewhere_stays_in_float(tmp_path, where) -> None:
    torch.manual_seed(0)
    images = noise(16, 2, 6, 6)
    quantized, layers = quantize_network(Shared(where), images, 8)
    path = tmp_path / "shared.onnx"
    export_onnx(quantized, layers, path, (2, 6, 6))
    expected = quantized(images).detach()
    spread = float(expected.std())
    difference = (run(path, images) - expected).abs()
    assert operators(path)["QLinearConv"] == (where == "none")
    assert float(difference.median()) < (2e-3 if where == "none" else 1e-5) * spread
    assert float(difference.max()) < 0.05 * spread


class Twice(nn.Module):
    """Calls a convolution twice, with a batch norm of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 4, 3, padding=1)
        self.before = nn.BatchNorm2d(4)
        self.after = nn.BatchNorm2d(4)
        self.last = nn.Conv2d(4, 2, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.before(self.first(images)).relu()
        hidden = self.after(self.first(hidden)).relu()
        return self.last(hidden).flatten(1)


def test_a_layer_called_twice_has_the_batch_norm_of_each_call(tmp_path) -> None:
    torch.manual_seed(0)
    # Not negative, so that the one grid of both inputs does what the activation does.
    model, images = Twice(), noise(16, 4, 6, 6).abs()
    for norm, factor in ((model.before, 0.5), (model.after, -1.0)):
        norm.weight.data.fill_(factor)
        norm.bias.data.fill_(0.3)
    quantized, layers = quantize_network(model, images, {"first": 4, "last": 4})
    path = tmp_path / "twice.onnx"
    report = export_onnx(quantized, layers, path, (4, 6, 6))
    expected = quantized(images).detach()
    assert operators(path)["QLinearConv"] == 2
    assert float((run(path, images) - expected).abs().median()) < 2e-3 * float(expected.std())
    assert report.file_bytes == path.stat().st_size
    # Two folded biases of four integers for the two calls.
    assert report.layers[0].bias_bytes == 2 * 4 * (4 + 4)
