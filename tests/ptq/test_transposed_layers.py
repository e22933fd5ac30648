"""Transposed convolutions: held to plain convolutions of an input spread out with zeros."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference_quantizer import row_grids
from safetensors.torch import load_file
from torch import Tensor, nn

import gp_emq
from gp_emq.allocation import kept_in_float
from gp_emq.errors import NetworkError
from gp_emq.export import export_onnx
from gp_emq.networks import (
    PER_CHANNEL,
    Workload,
    bit_operations_table,
    find_layers,
    layers_of,
    size_table,
)
from gp_emq.qat import QatSettings, train
from gp_emq.qat._samples import WorkloadSamples
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import STATISTICS

MINMAX = WeightQuantizer(per_channel=True, scale_rule="minmax")
OPTIONS = {"stride": 2, "padding": 1, "output_padding": 1}


def rows_of(layer: nn.Module) -> Tensor:
    """Each output channel's weights (in / groups, ...), taken one by one."""
    weight, groups = layer.weight.detach(), layer.groups
    taken, given = layer.in_channels // groups, layer.out_channels // groups
    return torch.stack(
        [
            weight[(channel // given) * taken : (channel // given + 1) * taken, channel % given]
            for channel in range(layer.out_channels)
        ]
    )


class _Spread:
    """Runs a transposed convolution as a convolution with the kernel turned round."""

    def of(self, layer: nn.Module) -> "_Spread":
        self.weight = nn.Parameter(rows_of(layer).clone())
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
        self.like = {
            "stride": layer.stride, "padding": layer.padding, "more": layer.output_padding,
            "spread": layer.dilation,
        }  # fmt: skip
        return self

    def forward(self, value: Tensor) -> Tensor:
        axes = tuple(range(2, value.dim()))
        sides = [
            (size - 1) * stride + 1
            for size, stride in zip(value.shape[2:], self.like["stride"], strict=True)
        ]
        wide = value.new_zeros(*value.shape[:2], *sides)
        wide[(..., *(slice(None, None, stride) for stride in self.like["stride"]))] = value
        margins = []
        for axis in reversed(range(len(axes))):
            reach = self.like["spread"][axis] * (self.weight.shape[2 + axis] - 1)
            margin = reach - self.like["padding"][axis]
            margins += [margin, margin + self.like["more"][axis]]
        convolve = {1: F.conv1d, 2: F.conv2d}[len(axes)]
        return convolve(
            F.pad(wide, margins), self.weight.flip(axes), self.bias, groups=self.groups,
            dilation=self.like["spread"],
        )  # fmt: skip


class Spread1d(_Spread, nn.Conv1d):
    pass


class Spread2d(_Spread, nn.Conv2d):
    pass


def spread(layer: nn.Module) -> nn.Module:
    kind = Spread1d if isinstance(layer, nn.ConvTranspose1d) else Spread2d
    made = kind(layer.in_channels, layer.out_channels, layer.kernel_size, groups=layer.groups)
    return made.of(layer)


def sound() -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose1d(4, 6, 4, **OPTIONS, groups=2), nn.BatchNorm1d(6), nn.ReLU(),
        nn.ConvTranspose1d(6, 6, 3, dilation=2, padding=2, groups=3, bias=False), nn.Tanh(),
        nn.ConvTranspose1d(6, 6, 2), nn.Flatten(), nn.Linear(6 * 14, 5),
    )  # fmt: skip


def picture() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(),
        nn.ConvTranspose2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), groups=4), nn.Tanh(),
        nn.ConvTranspose2d(8, 2, 3, **OPTIONS, bias=False), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip


CASES = {"sound": (sound, (4, 6)), "picture": (picture, (2, 5, 6))}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[nn.Sequential, nn.Sequential, Tensor]:
    """A network, the same with plain convolutions, and samples."""
    build, shape = CASES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().eval()
    turned = (nn.ConvTranspose1d, nn.ConvTranspose2d)
    twin = nn.Sequential(*(spread(m) if isinstance(m, turned) else m for m in model)).eval()
    samples = torch.randn(12, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(twin(samples), model(samples))
    return model, twin, samples


def fed(model: nn.Module, samples: Tensor) -> Workload:
    """A workload: three axes alone would be a single image."""
    return Workload(model, samples, forward=lambda network, x: network(x))


def test_layers_have_the_shape_of_rows_and_operations_of_every_product(case) -> None:
    model, twin, samples = case
    layers = find_layers(model, samples[:1])
    value, products = samples[:1], []
    for module in model:
        before, value = value, module(value)
        if isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d)):
            # A number that goes in is multiplied with all weights of its channel.
            products.append(before.numel() * module.weight[0].numel())
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            products.append(value.numel() * module.weight[0].numel())
    assert [layer.macs for layer in layers] == products
    assert bit_operations_table(layers, (3,), 8)[:, 0].tolist() == [24 * p for p in products]
    same = find_layers(twin, samples[:1])
    assert [layer.weight_shape for layer in layers] == [layer.weight_shape for layer in same]
    assert [layer.batch_norm_channels for layer in layers] == [
        layer.batch_norm_channels for layer in same
    ]
    kinds = {type(model.get_submodule(layer.name)).__name__ for layer in layers}
    assert {layer.kind for layer in layers} == kinds


def test_sizes_are_those_of_hand(case) -> None:
    model, _, samples = case
    layers = find_layers(model, samples[:1])
    sizes = size_table(layers, (3,), "stored", granularity=PER_CHANNEL)[:, 0]
    for layer, size in zip(layers, sizes, strict=True):
        module = model.get_submodule(layer.name)
        channels = getattr(module, "out_channels", None) or module.out_features
        floats = channels + (0 if module.bias is None else channels)
        floats += 4 * layer.batch_norm_channels
        assert size == -(-module.weight.numel() * 3 // 8) + 4 * floats


def test_every_statistic_is_that_of_the_plain_convolutions(case) -> None:
    model, twin, samples = case
    found, expected = (
        gp_emq.collect_statistics(fed(network, samples), bits=(2, 4), quantizer=MINMAX, cache=None)
        for network in (model, twin)
    )
    for name in STATISTICS:
        if name == "macs":
            continue  # a plain convolution multiplies with the zeros, too
        if name == "perturbation":
            values, wanted = found.perturbation(), expected.perturbation()
        else:
            values, wanted = found.tensor(name), expected.tensor(name)
        scale = float(wanted.abs().max())
        assert scale > 0, name
        torch.testing.assert_close(
            values, wanted, rtol=1e-3, atol=1e-5 * scale, msg=lambda text, name=name: name + text
        )


def test_weight_gradients_are_those_of_autograd_row_by_row(case) -> None:
    model, _, samples = case
    labels = torch.arange(12) % 3
    workload = Workload(
        model, (samples, labels), forward=lambda network, x: network(x),
        loss=lambda y, wanted: F.cross_entropy(y, wanted, reduction="none"),
    )  # fmt: skip
    statistics = gp_emq.collect_statistics(workload, bits=(4,))
    views = statistics.layout("Weights").views(statistics.tensor("weight_gradient"))
    weights = [model.get_submodule(layer.name).weight for layer in statistics.layers]
    gradients = torch.autograd.grad(F.cross_entropy(model(samples), labels), weights)
    for layer, view, gradient in zip(statistics.layers, views, gradients, strict=True):
        module = model.get_submodule(layer.name)
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            kept, module.weight.data = module.weight.data, gradient
            rows = rows_of(module)
            module.weight.data = kept
        else:
            rows = gradient
        torch.testing.assert_close(view, rows, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("activation_bits", [8, 32])
@pytest.mark.parametrize("method", ["rtn", "adaround", "brecq"])
def test_quantized_outputs_are_those_of_the_plain_convolutions(
    case, method: str, activation_bits: int
) -> None:
    model, twin, samples = case
    names = [layer.name for layer in find_layers(model, samples[:1])]
    widths = dict(zip(names, itertools.cycle((2, 4, 3)), strict=False))
    learns = {} if method == "rtn" else {"iterations": 8}
    made, expected = (
        gp_emq.quantize(
            fed(network, samples), widths, quantizer=MINMAX, method=method,
            activation_bits=activation_bits, **learns,
        )
        for network in (model, twin)
    )  # fmt: skip
    for name in names:
        assert torch.equal(made.weights[name].integers, expected.weights[name].integers)
        module = model.get_submodule(name)
        if method == "rtn" and not isinstance(module, (nn.Linear, nn.Conv2d)):
            by_hand = row_grids(rows_of(module), widths[name])
            torch.testing.assert_close(made.weights[name].values(), by_hand)
    with torch.no_grad():
        torch.testing.assert_close(made(samples), expected(samples), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("leave", [(), ("5",), ("2", "4")])
def test_files_hold_floats_in_the_form_of_the_layer_and_load_again(
    case, leave: tuple[str, ...], tmp_path: Path
) -> None:
    model, _, samples = case
    names = [layer.name for layer in find_layers(model, samples[:1])]
    widths = {name: 32 if name in leave else 3 for name in names}
    made = gp_emq.quantize(fed(model, samples), widths, method="rtn")
    gp_emq.save_quantized(made, tmp_path / "q.safetensors")
    again = gp_emq.load_quantized(tmp_path / "q.safetensors", model)
    assert torch.equal(again(samples), made(samples))
    stored = load_file(tmp_path / "q.safetensors")
    for name in set(leave) & set(names):
        assert torch.equal(stored[f"{name}.weight"], model.get_submodule(name).weight)


def test_a_plan_is_made_carried_out_and_trained(case) -> None:
    model, _, samples = case
    workload = fed(model, samples)
    statistics = gp_emq.collect_statistics(workload, bits=(2, 4, 8))
    for proxy in ("fit", "hawq_v2", "ompq", "qe", "relative_output_error", "synflow"):
        table = gp_emq.load_proxy(proxy).table(statistics)
        assert np.isfinite(np.asarray(table)).all(), proxy
    plan = gp_emq.allocate(table, average_bits=4)
    made = gp_emq.quantize(workload, plan, method="rtn")
    assert {name: 1 << width for name, width in plan.widths.items()} == {
        name: 1 + w.parameters.quant_max - w.parameters.quant_min
        for name, w in made.weights.items()
    }
    trained = train(
        model, layers_of(workload.private(), samples), plan.widths, made,
        WorkloadSamples(workload.answered()),
        settings=QatSettings(epochs=1, batch=6, learning_rate=1e-3), device="cpu",
    )  # fmt: skip
    assert any(
        not torch.equal(trained.weights[name].values(), weight.values())
        for name, weight in made.weights.items()
    )
    assert trained(samples).shape == model(samples).shape


def test_a_graph_gives_what_the_quantized_network_gives(case, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, _, samples = case
    layers = find_layers(model, samples[:1])
    made = gp_emq.quantize(fed(model, samples), {layer.name: 4 for layer in layers}, method="rtn")
    export_onnx(made, layers, tmp_path / "q.onnx", samples.shape[1:], batch=12)
    session = runtime.InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": samples.numpy()})
    np.testing.assert_allclose(found, made(samples).detach().numpy(), rtol=1e-3, atol=1e-3)


class Twice(nn.Module):
    """Two layers of one weight, of which one is called twice, with an output size."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = (nn.ConvTranspose1d(2, 2, 3, stride=2, bias=False) for _ in "ab")
        self.other.weight = self.one.weight
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.one(x, output_size=[2 * x.shape[-1] + 2])) + 0
        return self.head(self.other(x).mean(-1))


def test_layers_of_one_weight_are_one_decision_and_one_copy() -> None:
    torch.manual_seed(0)
    model, samples = Twice().eval(), torch.randn(6, 2, 4)
    layers = find_layers(model, samples[:1])
    assert [(layer.name, layer.entry, layer.shares) for layer in layers] == [
        ("one", 0, ""), ("other", 0, "one"), ("head", 1, ""),
    ]  # fmt: skip
    assert layers[0].macs == 4 * 2 * 6 + 10 * 2 * 6
    assert layers[1].macs == 21 * 2 * 6
    assert size_table(layers, (2,), "stored")[:, 0].tolist() == [3 + 4, 2 + 4 + 12]
    widths = {"one": 2, "other": 2, "head": 8}
    made = gp_emq.quantize(
        fed(model, samples), widths, quantizer=MINMAX, activation_bits=32, method="rtn"
    )
    model.one.weight.data = row_grids(rows_of(model.one), 2).transpose(0, 1)
    model.head.weight.data = row_grids(model.head.weight.data, 8)
    with torch.no_grad():
        torch.testing.assert_close(made(samples), model(samples))


class Own(nn.ConvTranspose1d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., 1:]


class Plain(nn.ConvTranspose1d):
    """Has a name of its own and nothing else."""

    def twice(self) -> int:
        return 2 * self.out_channels


class Reads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.head = nn.ConvTranspose1d(2, 2, 3), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(x)
        return self.head(F.conv1d(y, self.up.weight).mean(-1))


def test_a_forward_of_its_own_stays_in_float_and_a_mere_name_does_not() -> None:
    model = nn.Sequential(Own(2, 2, 3), Plain(2, 4, 3), nn.Flatten(), nn.Linear(4 * 7, 3))
    samples = torch.randn(4, 2, 4)
    layers = find_layers(model, samples[:1])
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("1", "ConvTranspose1d"), ("3", "Linear"),
    ]  # fmt: skip
    assert tuple(kept_in_float(model, layers)) == ("0.weight",)
    made = gp_emq.quantize(fed(model, samples), {"1": 4}, method="rtn")
    assert made.network[1].twice() == 8
    assert type(model[1]) is Plain
    assert model[1].weight.shape == (2, 4, 3)


def test_a_weight_that_is_read_beside_its_layer_is_refused() -> None:
    with pytest.raises(NetworkError, match="reads the weight of a ConvTranspose1d without"):
        find_layers(Reads(), torch.randn(1, 2, 4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("how", ["plain", "weight_norm", "parallel", "compiled"])
def test_half_precision_normed_and_wrapped_networks_are_those_of_their_values(
    how: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.ConvTranspose1d(2, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 3))
    inner = inner.to(dtype).eval()
    if how == "weight_norm":
        inner[0] = nn.utils.parametrizations.weight_norm(inner[0], dim=1)
    plain = nn.Sequential(nn.ConvTranspose1d(2, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 3))
    plain.load_state_dict(
        {
            name: getattr(inner.get_submodule(name.split(".")[0]), name.split(".")[1]).detach()
            for name in plain.state_dict()
        }
    )
    wrap = {"parallel": nn.DataParallel, "compiled": torch.compile}.get(
        how, lambda network: network
    )
    samples, widths = torch.randn(4, 2, 4), {"0": 3, "2": 4}
    made = gp_emq.quantize(fed(wrap(inner), samples), widths, method="rtn")
    expected = gp_emq.quantize(fed(plain.eval(), samples), widths, method="rtn")
    assert made(samples).dtype == dtype
    torch.testing.assert_close(made(samples), expected(samples).to(dtype))
