import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quantized_networks import (
    Pair,
    Transformer,
    blank,
    live_norms,
    noise,
    quantize_network,
    small_mobilenet,
)
from torch import nn

from gp_emq.errors import ExportError
from gp_emq.export import format_report, load_quantized, save_packed
from gp_emq.export._loading import load_provenance
from gp_emq.networks import (
    Granularity,
    find_layers,
    load_images,
    load_network,
    size_table,
    untrained_network,
)
from gp_emq.quantization import (
    ActivationQuantizer,
    WeightQuantizer,
)


def header_of(path: Path) -> tuple[dict, bytes]:
    """The header of a safetensors file and what follows it, read by hand."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def resnet20() -> nn.Module:
    return live_norms(untrained_network("resnet20").model)


def mixed_widths(layers, bits=(2, 3, 4, 5, 8)) -> dict[str, int]:
    return {layer.name: bits[index % len(bits)] for index, layer in enumerate(layers)}


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    choices=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    widths=st.tuples(st.integers(2, 8), st.integers(2, 8)),
)
def test_a_file_without_its_header_takes_the_stored_size(
    tmp_path_factory, shape, choices, widths
) -> None:
    bias, per_channel, symmetric = choices
    torch.manual_seed(0)
    images = noise(2, shape[1], 4, 4)
    quantized, layers = quantize_network(
        Pair(*shape, bias=bias),
        images,
        dict(zip(("convolution", "linear"), widths, strict=True)),
        weights=WeightQuantizer(symmetric=symmetric, per_channel=per_channel, scale_rule="minmax"),
    )
    path = tmp_path_factory.getbasetemp() / "pair.safetensors"
    report = save_packed(quantized, layers, path)
    bits = tuple(range(2, 9))
    table = size_table(
        layers, bits, "stored", granularity=Granularity(per_channel), symmetric=symmetric
    )
    accounted = table[0, widths[0] - 2] + table[1, widths[1] - 2]
    assert len(header_of(path)[1]) == accounted
    assert (report.payload_bytes, report.beyond_accounting_bytes) == (accounted, 0)
    torch.manual_seed(1)
    loaded = load_quantized(path, Pair(*shape, bias=bias))
    assert torch.equal(loaded(images), quantized(images))


@pytest.mark.parametrize("per_channel", [False, True])
def test_digits_come_back_to_the_last_bit(tmp_path, per_channel) -> None:
    network = load_network("digits")
    images = load_images("digits", part="test").images[:50]
    quantized, layers = quantize_network(
        network.model,
        images,
        mixed_widths(network.layers),
        weights=WeightQuantizer(
            symmetric=per_channel, per_channel=per_channel, scale_rule="minmax"
        ),
    )
    report = save_packed(quantized, layers, tmp_path / "digits.safetensors")
    assert report.beyond_accounting_bytes == 0
    loaded = load_quantized(tmp_path / "digits.safetensors", blank(network.model))
    assert torch.equal(loaded(images), quantized(images))
    # Whatever else the network has is back too, but for the counters of batches.
    for (name, before), after in zip(
        quantized.network.state_dict().items(),
        loaded.network.state_dict().values(),
        strict=True,
    ):
        assert torch.equal(after, before * ("num_batches_tracked" not in name)), name
    for name, weight in quantized.weights.items():
        assert torch.equal(loaded.weights[name].integers, weight.integers)
        assert loaded.weights[name].parameters.quant_max == weight.parameters.quant_max


@pytest.mark.parametrize("make", [resnet20, small_mobilenet])
def test_larger_networks_come_back_to_the_last_bit(tmp_path, make) -> None:
    model, images = make(), noise(4, 3, 32, 32)
    layers = find_layers(model, images[:1])
    quantized, layers = quantize_network(model, images, mixed_widths(layers))
    path = tmp_path / "network.safetensors"
    assert save_packed(quantized, layers, path).beyond_accounting_bytes == 0
    loaded = load_quantized(path, blank(model))
    assert torch.equal(loaded(images), quantized(images))


def test_a_reader_by_the_documentation_finds_the_weights(tmp_path) -> None:
    torch.manual_seed(0)
    quantized, layers = quantize_network(
        Pair(3, 2, 3, 5, bias=True),
        noise(4, 2, 6, 6),
        {"convolution": 3, "linear": 5},
        weights=WeightQuantizer(symmetric=False, per_channel=True, scale_rule="minmax"),
    )
    path = tmp_path / "pair.safetensors"
    save_packed(quantized, layers, path, provenance={"network": "pair"})
    header, data = header_of(path)
    description, checksum = header["__metadata__"]["gp_emq_packed"].split("\n")
    assert len(checksum) == 64

    def tensor(name: str, kind: str) -> np.ndarray:
        first, last = header[name]["data_offsets"]
        return np.frombuffer(data[first:last], kind).reshape(header[name]["shape"])

    for name, packed in json.loads(description)["weights"].items():
        bits, shape = packed["bits"], packed["shape"]
        stream = np.unpackbits(tensor(f"{name}.weight.integers", "u1"), bitorder="little")
        codes = stream[: np.prod(shape) * bits].reshape(*shape, bits) @ (1 << np.arange(bits))
        column = (-1, *[1] * (len(shape) - 1))
        zeros = tensor(f"{name}.weight.zero_point", "u1").reshape(column)
        scales = tensor(f"{name}.weight.scale", "<f4").reshape(column)
        values = (codes - zeros).astype(np.float32) * scales
        expected = quantized.network.get_submodule(name).weight.detach().numpy()
        np.testing.assert_array_equal(values, expected)
    grid = json.loads(description)["inputs"]["linear"]
    assert np.float32(grid["scale"]) == quantized.activations["linear"].scale.numpy()
    assert grid["zero_point"] == int(quantized.activations["linear"].zero_point)


def test_what_belongs_to_no_layer_is_stored_and_stated(tmp_path) -> None:
    torch.manual_seed(0)
    images = noise(4, 1, 8, 8)
    widths = {"patches": 8, "blocks.0.projections": 4, "blocks.1.mlp.0": 3}
    quantized, layers = quantize_network(Transformer(), images, widths)
    path = tmp_path / "transformer.safetensors"
    report = save_packed(quantized, layers, path)
    torch.manual_seed(1)
    assert torch.equal(load_quantized(path, Transformer())(images), quantized(images))
    # Two parameters of the network itself and five layer norms of 16 channels.
    norms = {f"blocks.{b}.{n}" for b in (0, 1) for n in ("before", "after")} | {"norm"}
    assert report.other == {"token": 16 * 4, "positions": 17 * 16 * 4} | {
        f"{norm}.{tensor}": 16 * 4 for norm in norms for tensor in ("weight", "bias")
    }
    assert report.beyond_accounting_bytes == sum(report.other.values())
    assert report.payload_bytes == len(header_of(path)[1])
    assert report.file_bytes == path.stat().st_size
    floats = {layer.name for layer in report.layers if layer.bits is None}
    assert floats == {layer.name for layer in layers} - set(widths)


class Odd(nn.Module):
    """Tied weights, a norm that follows no layer, and one that learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_of_images = nn.BatchNorm2d(2)
        self.first = nn.Conv2d(2, 2, 3, padding=1)
        self.bare = nn.BatchNorm2d(2, affine=False)
        self.second = nn.Conv2d(2, 2, 3, padding=1)
        self.second.weight = self.first.weight
        self.register_buffer("index", torch.arange(3))
        self.register_buffer("passing", torch.ones(5), persistent=False)

    def forward(self, images):
        hidden = self.bare(self.first(self.norm_of_images(images)))
        return self.second(hidden).mean((2, 3)) * self.passing.sum()


def test_odd_networks_come_back_and_their_rest_is_counted(tmp_path) -> None:
    torch.manual_seed(0)
    images = noise(2, 2, 4, 4)
    quantized, layers = quantize_network(live_norms_of(Odd()), images, {"first": 4, "second": 4})
    path = tmp_path / "odd.safetensors"
    report = save_packed(quantized, layers, path)
    # The norm of the images, two channels of four numbers, and the index of three int64.
    assert report.beyond_accounting_bytes == 2 * 4 * 4 + 3 * 8
    assert "passing" not in header_of(path)[0]
    torch.manual_seed(1)
    assert torch.equal(load_quantized(path, Odd())(images), quantized(images))
    learns = Odd()
    learns.bare = nn.BatchNorm2d(2)
    # Ones and zeros fit a norm that could have learned others, but not the other way round.
    assert torch.equal(load_quantized(path, learns)(images), quantized(images))
    learns.bare.weight.data.fill_(0.5)
    save_packed(*quantize_network(learns, images, 4), path)
    with pytest.raises(ExportError, match=r"the network does not learn bare\.weight"):
        load_quantized(path, Odd())


def live_norms_of(model: Odd) -> Odd:
    model.norm_of_images.running_mean.fill_(0.3)
    model.bare.running_var.fill_(0.7)
    return model


def test_provenance_comes_back(packed) -> None:
    assert load_provenance(packed[0]) == {"network": "pair", "bits": [3, 3]}


def test_equal_networks_give_equal_bytes(packed, tmp_path) -> None:
    path, _, layers = packed
    again = tmp_path / "again.safetensors"
    loaded = load_quantized(path, Pair(2, 2, 3, 4, bias=True))
    save_packed(loaded, layers, again, provenance={"network": "pair", "bits": [3, 3]})
    assert again.read_bytes() == path.read_bytes()


def test_grids_of_inputs_come_back_of_any_width(tmp_path) -> None:
    torch.manual_seed(0)
    images = noise(2, 2, 4, 4)
    for activations in (ActivationQuantizer(4), ActivationQuantizer(6, symmetric=True), None):
        quantized, layers = quantize_network(
            Pair(2, 2, 3, 4, bias=True), images, 4, activations=activations
        )
        path = tmp_path / "inputs.safetensors"
        save_packed(quantized, layers, path)
        loaded = load_quantized(path, Pair(2, 2, 3, 4, bias=True))
        assert torch.equal(loaded(images), quantized(images))
        assert loaded.activations.keys() == quantized.activations.keys()


def test_the_report_says_what_is_stored(packed) -> None:
    path, quantized, layers = packed
    quantized, layers = quantize_network(quantized.network, noise(2, 2, 4, 4), {"linear": 5})
    report = save_packed(quantized, layers, path.with_name("partly.safetensors"))
    text = format_report(report).splitlines()
    cells = [line.split() for line in text]
    # 36 floats; 16 integers of 5 bits and one scale; two norms' worth of 4 numbers per channel.
    assert ["convolution", "float", "float32", "144", "0", "16"] in cells
    assert ["linear", "5", "5-bit", "packed", "10", "4", "16"] in cells
    assert ["batch", "norm", "64"] in cells
    assert ["stored", "accounting", "254"] in cells
    assert ["file", f"{report.file_bytes:,}"] in cells
