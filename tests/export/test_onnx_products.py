"""Layers whose outputs stay in float are products of integers, with the same outputs."""

from typing import Any

import onnx
import pytest
import torch
from onnx_graphs import LEVELS, operators, run
from torch import Tensor, nn

from gp_emq.export import export_onnx
from gp_emq.networks import find_layers
from gp_emq.quantization import QuantizationParameters, QuantizedModel, QuantizedWeight


class Residual(nn.Module):
    """A sum of a convolution of one position, with a batch norm, and of one with a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 6, 1, bias=False)
        self.norm = nn.BatchNorm2d(6, eps=0.0)
        self.outer = nn.Conv2d(4, 6, 1, stride=2)

    def forward(self, images: Tensor) -> Tensor:
        summed = self.norm(self.inner(images))[:, :, ::2, ::2] + self.outer(images)
        return summed.relu().flatten(1)


class Along(nn.Module):
    """A convolution of one position along one axis."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv1d(4, 6, 1)

    def forward(self, rows: Tensor) -> Tensor:
        return self.inner(rows).flatten(1)


class Tokens(nn.Module):
    """Linear layers on every token, one without a bias, and on what is made of all."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 6, bias=False)
        self.head = nn.Linear(6, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.second(self.first(tokens).relu()).amax(1))


SHAPES = {Residual: (4, 6, 6), Along: (4, 5), Tokens: (5, 4)}


def exact(kind: type[nn.Module], bits: int, *, symmetric: bool = True) -> dict[str, Any]:
    """What makes a network whose sums are exact in float32."""
    generator = torch.Generator().manual_seed(bits)
    model = kind().eval()
    low = -(1 << (bits - 1))
    weights, inputs = {}, {}
    for name, layer in model.named_modules():
        if not isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)):
            continue
        integers = torch.randint(low + 1, -low, layer.weight.shape, generator=generator)
        scale = 2.0 ** -torch.randint(5, 8, (len(integers), *[1] * (integers.dim() - 1))).float()
        zero, limits = torch.zeros_like(scale), (low, -low - 1)
        if not symmetric:
            zero, limits, integers = zero - low, (0, -2 * low - 1), integers - low
        grid = QuantizationParameters(scale, zero, *limits)
        weights[name] = QuantizedWeight(integers.to(torch.int16), grid)
        inputs[name] = QuantizationParameters(torch.tensor(0.25), torch.tensor(9.0), 0, 255)
        if layer.bias is not None:
            layer.bias.data = torch.randint(-8, 8, layer.bias.shape, generator=generator) / 4
    if kind is Residual:
        model.norm.weight.data = torch.tensor([1.0, 2.0, -1.0, 0.5, 0.0, -0.5])
        model.norm.running_var.data = torch.tensor([4.0, 16.0, 4.0, 1.0, 1.0, 4.0])
        for tensor in (model.norm.bias, model.norm.running_mean):
            tensor.data = torch.randint(-8, 8, (6,), generator=generator) / 4
    return {"network": model, "weights": weights, "inputs": inputs}


def written(tmp_path, parts: dict[str, Any], shape: tuple[int, ...], **settings):
    path, network = tmp_path / "products.onnx", QuantizedModel(*parts.values())
    layers = find_layers(network.network, torch.zeros(1, *shape))
    export_onnx(network, layers, path, shape, **settings)
    generator = torch.Generator().manual_seed(1)
    given = torch.randint(-9, 240, (settings.get("batch") or 3, *shape), generator=generator) / 4
    return path, given, network(given).detach()


@pytest.mark.parametrize(("kind", "products"), [(Residual, 2), (Along, 1), (Tokens, 3)])
@pytest.mark.parametrize(
    ("bits", "symmetric", "batch"), [(8, True, None), (4, False, None), (2, True, 1)]
)
def test_products_of_integers_give_the_same_outputs(  # noqa: PLR0917 - two tables
    tmp_path, kind, products, bits, symmetric, batch
) -> None:
    parts = exact(kind, bits, symmetric=symmetric)
    path, given, expected = written(tmp_path, parts, SHAPES[kind], batch=batch)
    assert expected.std() > 0
    for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL):
        assert torch.equal(run(path, given, level), expected)
    found = operators(path)
    assert found["MatMulIntegerToFloat"] == products
    assert found["Conv"] == found["Gemm"] == found["MatMul"] == found["BatchNormalization"] == 0


@pytest.mark.parametrize("kernel", ["of three", "in groups", "least integer turned"])
def test_what_is_no_product_stays_in_float(tmp_path, kernel) -> None:
    parts = exact(Residual, 8)
    model, weights = parts["network"], parts["weights"]
    if kernel == "least integer turned":  # 128 is no int8
        weights["inner"].integers[2, 0] = -128
    else:
        settings = {"kernel_size": 3, "padding": 1} if kernel == "of three" else {"groups": 2}
        model.inner = nn.Conv2d(4, 6, **{"kernel_size": 1, "bias": False, **settings})
        stream = torch.Generator().manual_seed(0)
        integers = torch.randint(-100, 100, model.inner.weight.shape, generator=stream)
        weights["inner"] = QuantizedWeight(integers.short(), weights["inner"].parameters)
    path, given, expected = written(tmp_path, parts, SHAPES[Residual])
    assert torch.equal(run(path, given), expected)
    found = operators(path)
    assert found["MatMulIntegerToFloat"] == 1
    assert found["Conv"] + found["FusedConv"] == 1


def test_a_file_keeps_narrow_integers_of_products(tmp_path) -> None:
    path, _, _ = written(tmp_path, exact(Tokens, 4), SHAPES[Tokens])
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    stored = {kinds[f"{name}.weight.integers"] for name in ("first", "second", "head")}
    assert stored == {onnx.TensorProto.INT4}
