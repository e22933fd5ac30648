"""Files of networks whose weights have scales of groups."""

import hashlib
import json
import math
import re
import struct
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from quantized_networks import Pair, Transformer, noise, quantize_network
from torch import nn

from gp_emq.errors import ExportError
from gp_emq.export import export_onnx, load_quantized, save_packed
from gp_emq.quantization import (
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    WeightQuantizer,
)

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
WIDTHS = {"convolution": 3, "linear": 4}


def pair(group: int = 4, *, symmetric: bool = True):
    """A convolution with rows of 9 weights, and a linear layer with rows of 6."""
    torch.manual_seed(0)
    quantizer = WeightQuantizer(symmetric, True, "minmax", group)
    return quantize_network(
        Pair(3, 2, 3, 5, bias=True), noise(4, 2, 6, 6), WIDTHS, weights=quantizer
    )


def parts_of(path: Path) -> tuple[dict, dict, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    description = json.loads(header.pop("__metadata__")["gp_emq_packed"].split("\n")[0])
    return header, description, content[8 + length :]


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_packed_file_has_the_scales_of_groups(tmp_path, symmetric) -> None:
    path = tmp_path / "pair.safetensors"
    quantized, layers = pair(symmetric=symmetric)
    report = save_packed(quantized, layers, path)
    header, description, data = parts_of(path)
    # Rows of 9 in groups of 4, 4 and 1, six of them; rows of 6 in groups of 4 and 2, five.
    assert header["convolution.weight.scale"]["shape"] == [6, 3]
    assert header["linear.weight.scale"]["shape"] == [5, 2]
    assert {name: of["group"] for name, of in description["weights"].items()} == dict.fromkeys(
        WIDTHS, 4
    )
    each = 4 if symmetric else 5
    weights = math.ceil(54 * 3 / 8) + 18 * each + 30 * 4 // 8 + 10 * each
    biases_and_norm = 4 * 6 + 4 * 5 + 16 * 6
    assert len(data) == weights + biases_and_norm == report.payload_bytes
    assert report.beyond_accounting_bytes == 0
    loaded = load_quantized(path, Pair(3, 2, 3, 5, bias=True))
    images = noise(4, 2, 6, 6)
    assert torch.equal(loaded(images), quantized(images))
    for name, weight in quantized.weights.items():
        assert torch.equal(loaded.weights[name].integers, weight.integers)
        assert torch.equal(loaded.weights[name].parameters.scale, weight.parameters.scale)
        assert loaded.weights[name].parameters.group == 4


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_loader_of_the_page_reads_groups(tmp_path, symmetric) -> None:
    path = tmp_path / "pair.safetensors"
    quantized, layers = pair(symmetric=symmetric)
    save_packed(quantized, layers, path)
    loader = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    names: dict = {}
    exec(compile(loader, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
    loaded, images = names["load"](path, Pair(3, 2, 3, 5, bias=True)), noise(4, 2, 6, 6)
    for name in WIDTHS:
        expected = quantized.network.get_submodule(name).weight
        assert torch.equal(loaded.get_submodule(name).weight, expected)
    assert torch.equal(loaded(images), quantized(images))


def test_channels_no_longer_than_a_group_are_stored_as_channels(tmp_path) -> None:
    quantized, layers = pair(group=64)
    save_packed(quantized, layers, tmp_path / "groups.safetensors")
    header, description, _ = parts_of(tmp_path / "groups.safetensors")
    assert header["linear.weight.scale"]["shape"] == [5]
    assert all("group" not in of for of in description["weights"].values())


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (1, "a group must be a whole number of 2 or more values, not 1"),
        (9, "convolution.weight has groups of 9 values, and channels of 9"),
        (2, r"convolution.weight.scale is .* \(6, 3\), not torch.float32 \(6, 5\)"),
    ],
)
def test_a_file_with_other_groups_than_scales_is_refused(tmp_path, group, words) -> None:
    path = tmp_path / "pair.safetensors"
    quantized, layers = pair()
    save_packed(quantized, layers, path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    line = header["__metadata__"]["gp_emq_packed"].split("\n")[0]
    line = re.sub(r'"group":\d+', f'"group":{group}', line)
    checksum = hashlib.sha256(line.encode() + data).hexdigest()
    tensors = safetensors.torch.load(content)
    safetensors.torch.save_file(tensors, path, {"gp_emq_packed": f"{line}\n{checksum}"})
    with pytest.raises(ExportError, match=words):
        load_quantized(path, Pair(3, 2, 3, 5, bias=True))


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("opset", [21, 25])
def test_onnxruntime_computes_with_groups(tmp_path, symmetric, opset) -> None:
    """Numbers are few multiples of powers of two, so that all sums are exact."""
    generator = torch.Generator().manual_seed(1)
    model, weights = Pair(3, 2, 3, 5, bias=True), {}
    model.norm = nn.Identity()
    for name, bits in WIDTHS.items():
        layer = model.get_submodule(name)
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape, generator=generator) / 4
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if symmetric else (0, 2**bits - 1)
        shape, groups = layer.weight.shape, math.ceil(layer.weight[0].numel() / 4)
        integers = torch.randint(low, high + 1, shape, generator=generator).short()
        scale = 2.0 ** -torch.randint(1, 4, (shape[0], groups), generator=generator).float()
        zeros = torch.zeros_like(scale)
        if not symmetric:
            zeros = torch.randint(low, high + 1, zeros.shape, generator=generator).float()
        weights[name] = QuantizedWeight(
            integers, QuantizationParameters(scale, zeros, low, high, group=4)
        )
    quantized = QuantizedModel(model, weights, {})
    images = torch.randint(-8, 9, (8, 2, 4, 4), generator=generator) / 2
    layers = pair()[1]
    path = tmp_path / "pair.onnx"
    report = export_onnx(quantized, layers, path, (2, 4, 4), opset=opset)
    (found,) = session(path).run(None, {"images": images.numpy()})
    assert np.array_equal(found, quantized(images).detach().numpy())
    nodes = [n for n in onnx.load(path).graph.node if n.op_type == "DequantizeLinear"]
    for node in nodes:
        assert {a.name: a.i for a in node.attribute if a.name in ("axis", "block_size")} == {
            "axis": 1, "block_size": 4,
        }  # fmt: skip
    assert len(nodes) == 2
    assert {layer.name: layer.grid_bytes for layer in report.layers}["linear"] == (
        10 * 4 + (0 if symmetric else 10 // 2)
    )


def test_a_transformer_with_groups_exports(tmp_path) -> None:
    torch.manual_seed(0)
    images = noise(4, 1, 8, 8)
    model = Transformer()
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    quantized, layers = quantize_network(
        model, images, dict.fromkeys(names, 4),
        weights=WeightQuantizer(per_channel=True, scale_rule="minmax", group=12),
    )  # fmt: skip
    path = tmp_path / "transformer.onnx"
    export_onnx(quantized, layers, path, (1, 8, 8))
    (found,) = session(path).run(None, {"images": images.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(found), quantized(images).detach(), rtol=1e-3, atol=1e-3
    )


def test_older_opsets_have_no_groups(tmp_path) -> None:
    path = tmp_path / "pair.onnx"
    quantized, layers = pair()
    with pytest.raises(
        ExportError, match=r"opset 20 has no scales of groups, .* convolution .* 21"
    ):
        export_onnx(quantized, layers, path, (2, 6, 6), opset=20)
    assert not path.exists()
