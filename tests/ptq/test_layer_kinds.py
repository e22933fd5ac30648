"""Convolutions of one and of three axes: sizes, operations, statistics, plans and grids."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reference_quantizer import reference
from torch import Tensor, nn

import gp_emq
from gp_emq.networks import PER_CHANNEL, Workload, bit_operations_table, find_layers, size_table
from gp_emq.quantization import WeightQuantizer

MINMAX = WeightQuantizer(per_channel=True, scale_rule="minmax")


def sequence() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(),
        nn.Conv1d(4, 6, 3, stride=2, groups=2, bias=False), nn.Tanh(),
        nn.Conv1d(6, 6, 2, dilation=2, groups=6), nn.Flatten(), nn.Linear(12, 5),
    )  # fmt: skip


def volume() -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(1, 3, 2), nn.ReLU(), nn.Conv3d(3, 6, (1, 2, 2), groups=3, stride=(2, 1, 1)),
        nn.AdaptiveAvgPool3d((1, 1, 2)), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "sequence": (sequence, (2, 10), ["Conv1d", "Conv1d", "Conv1d", "Linear"]),
    "volume": (volume, (1, 4, 5, 4), ["Conv3d", "Conv3d", "Linear"]),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor, list[str]]:
    build, shape, kinds = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().eval()
    numbers = torch.Generator().manual_seed(1)
    return model, torch.randn(12, *shape, generator=numbers), kinds


def fed(model: nn.Module, samples: Tensor) -> Workload:
    """A workload: three axes alone would be a single image."""
    return Workload(model, samples, forward=lambda network, x: network(x))


def products_by_counting(module: nn.Module, output: Tensor) -> int:
    """Every number of the output sums one product for each weight of its channel's row."""
    return sum(module.weight[0].numel() for _ in range(output.numel()))


def test_sizes_and_operations_are_those_of_counting(case) -> None:
    model, samples, kinds = case
    layers = find_layers(model, samples[:1])
    assert [layer.kind for layer in layers] == kinds
    value, products = samples[:1], []
    for module in model:
        value = module(value)
        if hasattr(module, "weight") and not isinstance(module, nn.BatchNorm1d):
            products.append(products_by_counting(module, value))
    assert [layer.macs for layer in layers] == products
    modules = [model.get_submodule(layer.name) for layer in layers]
    stored = size_table(layers, (3,), "stored", granularity=PER_CHANNEL)[:, 0]
    for module, layer, size in zip(modules, layers, stored, strict=True):
        floats = len(module.weight) + (0 if module.bias is None else len(module.bias))
        floats += 4 * layer.batch_norm_channels
        assert size == -(-module.weight.numel() * 3 // 8) + 4 * floats
    assert bit_operations_table(layers, (2,), 8)[:, 0].tolist() == [16 * p for p in products]


@pytest.mark.parametrize("activation_bits", [8, 32])
def test_quantized_outputs_are_those_of_an_independent_fake_quantizer(
    case, activation_bits: int
) -> None:
    model, samples, _ = case
    layers = find_layers(model, samples[:1])
    widths = dict(zip((layer.name for layer in layers), itertools.cycle((2, 4, 3)), strict=False))
    quantized = gp_emq.quantize(
        fed(model, samples), widths, quantizer=MINMAX,
        activation_bits=activation_bits, activation_rule="minmax", method="rtn",
    )  # fmt: skip
    expected = reference(model, widths, samples, activation_bits)
    with torch.no_grad():
        torch.testing.assert_close(quantized(samples), expected(samples), rtol=1e-4, atol=1e-5)
    first = quantized.weights[layers[0].name].parameters.scale
    assert tuple(first.shape) == (len(model[0].weight), *[1] * (model[0].weight.dim() - 1))


def test_every_proxy_has_a_table_and_output_errors_are_those_of_hand(case) -> None:
    model, samples, _ = case
    workload = fed(model, samples)
    statistics = gp_emq.collect_statistics(workload, bits=(2, 4), quantizer=MINMAX)
    names = ("fit", "fit_diagonal", "hawq_v2", "ompq", "qe", "relative_output_error", "synflow")
    for name in names:
        table = np.asarray(gp_emq.load_proxy(name).table(statistics))
        assert np.isfinite(table).all(), name
    table = np.asarray(gp_emq.load_proxy("output_error").table(statistics))
    value, seen = samples, []
    with torch.no_grad():
        for module in model:
            if isinstance(module, (nn.Conv1d, nn.Conv3d, nn.Linear)):
                seen.append((module, value))
            value = module(value)
    changes = statistics.layout("WeightsPerBit").views(statistics.perturbation())
    errors = []
    for (module, value), moved in zip(seen, changes, strict=True):
        with torch.no_grad():
            before = module(value)
            kept = module.weight.clone()
            module.weight += moved[0]
            errors.append(float((module(value) - before).double().square().sum()))
            module.weight.copy_(kept)
    ratio = table[:, 0] / np.array(errors)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


@pytest.mark.parametrize("method", ["rtn+bn", "rtn+bn-correction", "adaround", "brecq"])
def test_every_recipe_keeps_what_the_network_gives_at_eight_bits(case, method: str) -> None:
    model, samples, _ = case
    widths = {layer.name: 8 for layer in find_layers(model, samples[:1])}
    learns = {"iterations": 5} if method in ("adaround", "brecq") else {}
    if method.startswith("rtn+bn"):  # statistics of the few samples are no longer the trained ones
        model = nn.Sequential(*(m for m in model if not isinstance(m, nn.BatchNorm1d)))
        widths = {layer.name: 8 for layer in find_layers(model, samples[:1])}
    made = gp_emq.quantize(fed(model, samples), widths, method=method, activation_bits=32, **learns)
    with torch.no_grad():
        torch.testing.assert_close(made(samples), model(samples), rtol=0.1, atol=0.02)


def test_saved_networks_load_again(case, tmp_path) -> None:
    model, samples, _ = case
    widths = {layer.name: 3 for layer in find_layers(model, samples[:1])}
    made = gp_emq.quantize(fed(model, samples), widths, method="rtn")
    gp_emq.save_quantized(made, tmp_path / "q.safetensors")
    again = gp_emq.load_quantized(tmp_path / "q.safetensors", model)
    with torch.no_grad():
        assert torch.equal(again(samples), made(samples))
