"""Attention in four layers: held to torch's own, to autograd and to separate linear layers."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from attention_networks import PARTS, Encoder, Tokens, filled, rows, twin
from reference_quantizer import row_grids
from safetensors.torch import load_file
from torch import Tensor, nn

import gp_emq
from gp_emq.allocation import kept_in_float, modelopt_config, torchao_config
from gp_emq.errors import AllocationError
from gp_emq.export import export_onnx, save_packed
from gp_emq.networks import PER_CHANNEL, Workload, bit_operations_table, find_layers, size_table
from gp_emq.qat import QatSettings, train
from gp_emq.qat._samples import WorkloadSamples
from gp_emq.quantization import WeightQuantizer
from gp_emq.statistics import STATISTICS

MINMAX = WeightQuantizer(per_channel=True, scale_rule="minmax")
NAMES = [f"attention.{part}" for part in PARTS]
WIDTHS = dict(zip([*NAMES, "head"], (2, 3, 4, 8, 4), strict=True))
PAGE = Path(__file__).parents[2] / "docs" / "export.md"


OPTIONS = {
    "packed": {},
    "no bias": {"bias": False},
    "other sizes": {"kdim": 4, "vdim": 5},
    "length first": {"batch_first": False},
}
some = pytest.mark.parametrize("pair", ["packed", "other sizes"], indirect=True)


@pytest.fixture(scope="module", params=list(OPTIONS))
def pair(request: pytest.FixtureRequest) -> tuple[Tokens, Tokens]:
    """A network with attention, and the same with linear layers."""
    model = filled(Tokens(**OPTIONS[request.param]))
    return model, twin(model)


def weights_by_hand(model: nn.Module, widths: dict[str, int]) -> nn.Module:
    """The network of torch's own modules, its weights rounded row by row where it keeps them."""
    made = copy.deepcopy(model)
    for name, bits in widths.items():
        path, _, part = name.rpartition(".")
        module = made.get_submodule(path)
        if part in PARTS[:3] and isinstance(module, nn.MultiheadAttention):
            place = PARTS.index(part) * module.embed_dim
            weight = module.in_proj_weight.data[place : place + module.embed_dim]
            weight.copy_(row_grids(weight.clone(), bits))
        else:
            weight = made.get_submodule(name).weight
            weight.data = row_grids(weight.data, bits)
    return made


def test_layers_and_their_sizes(pair) -> None:
    model, separate = pair
    found, expected = (find_layers(network, rows(1)) for network in (model, separate))
    assert [layer.name for layer in found] == [*NAMES, "head"]
    assert [layer.kind for layer in found] == ["Projection"] * 4 + ["Linear"]
    for one, other in zip(found, expected, strict=True):
        assert (one.weight_shape, one.parameters, one.macs, one.entry) == (
            other.weight_shape, other.parameters, other.macs, other.entry,
        )  # fmt: skip
    assert tuple(kept_in_float(model, found)) == ()
    if model.attention.in_proj_bias is None or model.attention.in_proj_weight is None:
        return
    # By hand: 36 weights of 3 bits in whole bytes, a scale and a bias for each of 6 outputs.
    sizes = size_table(found, (3,), "stored", granularity=PER_CHANNEL)[:, 0]
    assert sizes.tolist() == [14 + 24 + 24] * 4 + [7 + 12 + 12]
    # Five tokens, each through 6 x 6 weights of 4 bits with inputs of 8.
    operations = bit_operations_table(found, (4,), 8)[:, 0]
    assert operations.tolist() == [5 * 36 * 4 * 8] * 4 + [18 * 4 * 8]


@some
def test_every_statistic_is_that_of_separate_layers(pair) -> None:
    found, expected = (
        gp_emq.collect_statistics(Workload(network, rows()), bits=(2, 4), cache=None)
        for network in pair
    )
    for name in STATISTICS:
        values, wanted = (
            of.perturbation() if name == "perturbation" else of.tensor(name)
            for of in (found, expected)
        )
        scale = float(wanted.abs().max())
        assert scale > 0 or name == "measured_metric", name
        torch.testing.assert_close(
            values, wanted, rtol=2e-3, atol=2e-5 * scale, msg=lambda text, name=name: name + text
        )


def test_gradients_are_slices_of_the_packed_ones() -> None:
    model, images, labels = filled(Tokens()), rows(), torch.arange(12) % 3
    statistics = gp_emq.collect_statistics(model, images, labels, bits=(4,), cache=None)
    views = statistics.layout("Weights").views(statistics.tensor("weight_gradient"))
    packed, out = torch.autograd.grad(
        F.cross_entropy(model(images), labels),
        [model.attention.in_proj_weight, model.attention.out_proj.weight],
    )
    for view, wanted in zip(views, (packed[:6], packed[6:12], packed[12:], out), strict=False):
        torch.testing.assert_close(view, wanted, rtol=1e-4, atol=1e-6)


@some
@pytest.mark.parametrize("method", ["rtn", "adaround", "brecq"])
def test_quantized_outputs_are_those_of_separate_layers(pair, method: str) -> None:
    options = {} if method == "rtn" else {"iterations": 8}
    made, expected = (
        gp_emq.quantize(network, WIDTHS, rows(), method=method, **options) for network in pair
    )
    for name in WIDTHS:
        assert torch.equal(made.weights[name].integers, expected.weights[name].integers)
    with torch.no_grad():
        torch.testing.assert_close(made(rows()), expected(rows()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("options", [{}, {"norm_first": True, "enable_nested_tensor": False}])
def test_encoders_compute_by_quantized_layers_with_gradients_and_without(
    options, asks: bool
) -> None:
    model = filled(Encoder(**options)).requires_grad_(asks)
    layers = find_layers(model, rows(2))
    assert len(layers) == 2 * (4 + 2) + 1
    widths = {layer.name: 2 + place % 3 for place, layer in enumerate(layers)}
    made, rounded = (
        gp_emq.quantize(model, widths, rows(), quantizer=MINMAX, activation_bits=bits, method="rtn")
        for bits in (32, 4)
    )
    by_hand = weights_by_hand(model, widths)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            wanted = by_hand(rows())
            torch.testing.assert_close(made(rows()), wanted, rtol=1e-4, atol=1e-5)
            assert (wanted - model(rows())).abs().max() > 0.05
    with_gradients = rounded(rows())
    with torch.no_grad():
        torch.testing.assert_close(rounded(rows()), with_gradients)
        assert (with_gradients - wanted).abs().max() > 0.05


@pytest.mark.parametrize("left", [(), NAMES[1:2], NAMES[:3], NAMES])
def test_files_have_what_is_in_float_as_the_network_has_it(pair, left, tmp_path: Path) -> None:
    model = pair[0]
    layers, path = find_layers(model, rows(1)), tmp_path / "q.safetensors"
    widths = {name: bits for name, bits in WIDTHS.items() if name not in left}
    made = gp_emq.quantize(model, widths, rows(), method="rtn")
    report = save_packed(made, layers, path)
    assert report.beyond_accounting_bytes == 0
    assert report.other == {}
    other = filled(type(model)(**{
        name: getattr(model.attention, name) for name in ("kdim", "vdim", "batch_first")
    }, bias=model.attention.in_proj_bias is not None), 5)  # fmt: skip
    again = gp_emq.load_quantized(path, other)
    with torch.no_grad():
        assert torch.equal(again(rows()), made(rows()))
    own = model.state_dict()
    for name, value in load_file(path).items():
        if name in own:
            assert torch.equal(value, own[name]), name
        elif not re.search(r"weight\.(integers|scale)$", name):
            part = PARTS.index(name.split(".")[1])
            assert torch.equal(value, own["attention.in_proj_weight"][6 * part : 6 * part + 6])


def test_the_loader_of_the_page_makes_torchs_own_attention(pair, tmp_path: Path) -> None:
    model = pair[0]
    path = tmp_path / "q.safetensors"
    made = gp_emq.quantize(model, WIDTHS, rows(), activation_bits=32, method="rtn")
    gp_emq.save_quantized(made, path)
    names: dict = {}
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
    loaded = names["load"](path, filled(copy.deepcopy(model), 5))
    assert type(loaded.attention) is nn.MultiheadAttention
    torch.testing.assert_close(loaded(rows()), made(rows()))
    gp_emq.save_quantized(gp_emq.quantize(model, WIDTHS, rows(), method="rtn"), path)
    with pytest.raises(ValueError, match="attention calls no layers whose inputs"):
        names["load"](path, model)


@pytest.mark.parametrize("pair", ["packed"], indirect=True)
def test_a_graph_gives_what_the_quantized_network_gives(pair, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = pair[0]
    layers = find_layers(model, rows(1))
    made = gp_emq.quantize(model, WIDTHS, rows(), method="rtn")
    export_onnx(made, layers, tmp_path / "q.onnx", (1, 5, 6))
    session = runtime.InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": rows().numpy()})
    np.testing.assert_allclose(found, made(rows()).detach().numpy(), rtol=1e-4, atol=1e-4)


@some
def test_training_is_that_of_separate_layers(pair) -> None:
    trained = []
    for model in pair:
        workload = Workload(model, rows())
        made = gp_emq.quantize(model, WIDTHS, rows(), method="rtn")
        trained.append(train(
            model, find_layers(model, rows(1)), WIDTHS, made, WorkloadSamples(workload.answered()),
            settings=QatSettings(epochs=2, batch=6, learning_rate=1e-2), device="cpu",
        ))  # fmt: skip
    one, other = trained
    for name, weight in one.weights.items():
        values = other.weights[name].values()
        torch.testing.assert_close(weight.values(), values, rtol=1e-3, atol=1e-4)
    assert any(
        not torch.equal(weight.values(), made.weights[name].values())
        for name, weight in one.weights.items()
    )
    torch.testing.assert_close(one(rows()), other(rows()), rtol=1e-3, atol=1e-3)


def test_four_decisions_or_one_for_queries_keys_and_values() -> None:
    model = filled(Tokens())
    statistics = gp_emq.collect_statistics(model, rows(), bits=(2, 4, 8), cache=None)
    table = gp_emq.load_proxy("fit").table(statistics)
    assert table.shape == (5, 3)
    tied = gp_emq.allocate(table, average_bits=5, groups=[NAMES[:3]])
    assert len({tied.widths[name] for name in NAMES[:3]}) == 1
    fixed = dict(zip(NAMES, (2, 4, 8, 4), strict=True))
    plan = gp_emq.allocate(table, average_bits=8, fix=fixed)
    assert plan.widths == fixed | {"head": 8}
    for config, library in ((torchao_config, "torchao"), (modelopt_config, "Model-Optimizer")):
        with pytest.raises(AllocationError, match=f"{library} quantizes modules, and 'attention"):
            config(plan)
    excluded = gp_emq.allocate(table, average_bits=8, exclude=["*_proj"])
    assert "attention" not in str(torchao_config(excluded))


class Pair(nn.Module):
    """Two attentions that have one packed weight, or whose weight is kept beside them."""

    def __init__(self, *, kept: bool) -> None:
        super().__init__()
        self.one, self.other = (nn.MultiheadAttention(6, 2, batch_first=True) for _ in "ab")
        self.other.in_proj_weight = self.one.in_proj_weight
        self.kept = [self.one.in_proj_weight] if kept else []
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = images.flatten(1, 2)
        for attention in (self.one, self.other):
            tokens, _ = attention(tokens, tokens, tokens)
        return self.head(tokens[:, 0])


def test_projections_of_one_packed_weight_are_one_decision() -> None:
    model = filled(Pair(kept=False))
    layers = find_layers(model, rows(1))
    assert [(layer.entry, layer.shares) for layer in layers] == [
        (0, ""), (1, ""), (2, ""), (3, ""),
        (0, "one.q_proj"), (1, "one.k_proj"), (2, "one.v_proj"), (4, ""), (5, ""),
    ]  # fmt: skip
    widths = {layer.name: 2 + layer.entry for layer in layers}
    made = gp_emq.quantize(
        model, widths, rows(), quantizer=MINMAX, activation_bits=32, method="rtn"
    )
    by_hand = weights_by_hand(
        model, {layer.name: widths[layer.name] for layer in layers if not layer.shares}
    )
    with torch.no_grad():
        torch.testing.assert_close(made(rows()), by_hand(rows()), rtol=1e-4, atol=1e-5)


def test_a_packed_weight_that_is_kept_elsewhere_stays_in_float(tmp_path: Path) -> None:
    model = filled(Pair(kept=True))
    layers = find_layers(model, rows(1))
    assert [layer.name for layer in layers] == ["head"]
    assert tuple(kept_in_float(model, layers)) == (
        "one.in_proj_weight", "one.out_proj.weight", "other.out_proj.weight",
    )  # fmt: skip


class Itself(nn.MultiheadAttention):
    """Takes one argument, and gives one result."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens, tokens, tokens)[0]


class Own(nn.MultiheadAttention):
    """Computes by its packed weight, and not by torch's forward."""

    def forward(self, tokens: Tensor) -> Tensor:
        return F.linear(tokens, self.in_proj_weight, self.in_proj_bias)[..., :6]


def test_what_calls_torchs_forward_has_layers_and_what_does_not_stays_in_float() -> None:
    model = filled(nn.Sequential(
        nn.Flatten(1, 2), Itself(6, 2, batch_first=True), Own(6, 2), nn.Flatten(), nn.Linear(30, 3)
    ))  # fmt: skip
    layers = find_layers(model, rows(1))
    assert [layer.name for layer in layers] == [*(f"1.{part}" for part in PARTS), "4"]
    assert tuple(kept_in_float(model, layers)) == ("2.in_proj_weight", "2.out_proj.weight")
    widths = {layer.name: 3 for layer in layers}
    made = gp_emq.quantize(
        model, widths, rows(), quantizer=MINMAX, activation_bits=32, method="rtn"
    )
    assert isinstance(made.network[1], Itself)
    assert type(model[1]) is Itself
    with torch.no_grad():
        wanted = weights_by_hand(model, widths)(rows())
        torch.testing.assert_close(made(rows()), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "dtype"),
    [("parallel", torch.float16), ("weight_norm", torch.bfloat16), ("pruned", torch.float32)],
)
def test_half_precision_normed_and_wrapped_networks_are_those_of_their_values(
    how: str, dtype: torch.dtype
) -> None:
    inner = filled(Tokens().to(dtype))
    if how == "weight_norm":
        nn.utils.parametrizations.weight_norm(inner.attention, "in_proj_weight")
    if how == "pruned":
        nn.utils.prune.random_unstructured(inner.attention, "in_proj_weight", 0.5)
    plain, attention = Tokens(), inner.attention
    plain.load_state_dict({
        "attention.in_proj_weight": attention.in_proj_weight.detach(),
        "attention.in_proj_bias": attention.in_proj_bias.detach(),
        **{f"attention.out_proj.{k}": v for k, v in attention.out_proj.state_dict().items()},
        **{f"head.{k}": v for k, v in inner.head.state_dict().items()},
    })  # fmt: skip
    given = nn.DataParallel(inner) if how == "parallel" else inner
    made = gp_emq.quantize(given, WIDTHS, rows(), method="rtn")
    expected = gp_emq.quantize(plain.eval(), WIDTHS, rows(), method="rtn")
    assert made(rows()).dtype == dtype
    torch.testing.assert_close(made(rows()), expected(rows()).to(dtype))


def test_hooks_fire_where_they_fired_and_copies_are_apart() -> None:
    model, seen = filled(Tokens()), []
    model.attention.register_forward_hook(lambda *_: seen.append("attention"))
    # torch reads the weight of this layer, and never calls it.
    model.attention.out_proj.register_forward_hook(lambda *_: seen.append("out"))
    for parameter in model.attention.parameters():
        parameter.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    made = gp_emq.quantize(model, WIDTHS, rows(), method="rtn")
    seen.clear()
    copied = copy.deepcopy(made)
    outputs = copied(rows())
    assert seen == ["attention"]
    assert torch.equal(outputs, made(rows()))
    copied.network.attention.q_proj.weight.data.zero_()
    assert not torch.equal(copied(rows()), made(rows()))
    asking = {name for name, value in made.network.named_parameters() if value.requires_grad}
    assert asking == {"head.weight", "head.bias"}
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
