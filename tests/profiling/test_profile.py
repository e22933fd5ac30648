"""What a profile has, whatever the times are; times themselves are held to nothing."""

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from gp_emq import SensitivityTable
from gp_emq.allocate import main as allocate_main
from gp_emq.allocation import (
    LatencyTable,
    LayerLatency,
    ScoredNetwork,
    WholeLatency,
    allocate,
    load_latencies,
    load_plan,
    save_latencies,
    save_table,
)
from gp_emq.command import exit_status
from gp_emq.errors import AllocationError, ExportError
from gp_emq.export import LayerExporter
from gp_emq.networks import Granularity, Layer, Network, find_layers
from gp_emq.profile import main
from gp_emq.profiling import ProfileSettings, format_latencies, profile
from gp_emq.profiling._rounds import RUNS, time_in_rounds
from gp_emq.profiling._runtime import Runnable
from gp_emq.quantization import (
    ActivationQuantizer,
    QuantizedModel,
    WeightQuantizer,
    calibrate_activations,
    quantize_weights,
)


class Small(nn.Module):
    """A convolution with norm and activation, one with neither, one used twice, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.norm(self.first(images)).relu()
        hidden = hidden + self.second(self.second(hidden))
        return self.head(hidden.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    model = Small().eval()
    return Network("small", model, find_layers(model, torch.zeros(1, 2, 6, 6)), (2, 6, 6))


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def table(network, images) -> LatencyTable:
    return profile(network, images, ProfileSettings(bits=(2, 8), rounds=1))


def test_every_layer_has_every_width_and_takes_time(table) -> None:
    assert [(found.layer, found.bits) for found in table.layers] == list(
        itertools.product(("first", "second", "head"), (2, 8, 32))
    )
    assert all(found.milliseconds > 0 and found.spread >= 0 for found in table.layers)
    assert [found.bits for found in table.whole] == [2, 8, 32]
    assert all(found.milliseconds > 0 for found in table.whole)
    assert table.runtime == f"onnxruntime {onnxruntime.__version__}"
    assert table.threads == 1
    assert table.processor


def test_rows_say_what_runs(table) -> None:
    rows = {(found.layer, found.bits): found for found in table.layers}
    # docs/export.md: convolutions of several positions run in integers between two grids, and not
    # before a sum; linear layers wherever they are.
    for bits in (2, 8):
        assert rows["first", bits].operators == "QuantizeLinear, DequantizeLinear, Max, Conv"
    assert "QLinearConv" in rows["second", 8].operators.split("; ")[0]
    assert not any(rows[name, 32].in_integers for name in table.names)
    assert "QuantizeLinear" not in rows["second", 32].operators
    # What is the same graph is timed once.
    assert rows["second", 2].as_bits == 8
    assert rows["second", 2].milliseconds == rows["second", 8].milliseconds
    assert rows["head", 2].as_bits == 8
    assert rows["head", 2].operators == "QuantizeLinear, MatMulIntegerToFloat, Sub"
    told = format_latencies(table)
    assert "2 bits: first, second, head as at 8 bits" in told
    assert "float" in told


def run(content: bytes, given: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {session.get_inputs()[0].name: given})[0]
    return found


@pytest.mark.parametrize("bits", [4, 32])
def test_pieces_compute_what_the_layers_do(network, images, bits) -> None:
    """Each piece, fed what torch feeds the layer, gives what torch makes of it."""
    layers, one = network.layers, images[:1]
    made = quantize_weights(network.model, layers, [4], WeightQuantizer(per_channel=True))
    grids = calibrate_activations(network.model, layers, images, ActivationQuantizer(8))
    inputs = {layer.name: grid for layer, grid in zip(layers, grids, strict=True)}
    weights = (
        {layer.name: made[place, 4] for place, layer in enumerate(layers)} if bits == 4 else {}
    )
    exporter = LayerExporter(network.model, layers, inputs, network.input_shape)
    pieces = exporter.graphs(weights).layers
    assert {name: len(own) for name, own in pieces.items()} == {"first": 1, "second": 2, "head": 1}
    model = QuantizedModel(network.model, weights, inputs if weights else {}).network
    with torch.no_grad():
        first = model.norm(model.first(one)).relu()
        second = model.second(first)
        third = model.second(second)
        pooled = (first + third).mean((2, 3))
        expected = [first, second, third, model.head(pooled)]
    scale, zero = inputs["second"].scale.numpy(), inputs["second"].zero_point.numpy()
    between = second.numpy()
    if weights:  # the first call rounds its output, and the second takes integers
        between = (np.rint(between / scale) + zero).clip(0, 255).astype(np.uint8)
    found = [
        run(pieces["first"][0], one.numpy()),
        run(pieces["second"][0], first.numpy()),
        run(pieces["second"][1], between),
        run(pieces["head"][0], pooled.numpy()),
    ]
    assert found[1].dtype == between.dtype
    if weights:
        assert np.abs(found[1].astype(int) - between.astype(int)).max() <= 1
        assert (found[1] == between).mean() > 0.9
    else:
        np.testing.assert_allclose(found[1], between, rtol=1e-4, atol=1e-5)
    for mine, its in zip((found[0], *found[2:]), (expected[0], *expected[2:]), strict=True):
        np.testing.assert_allclose(mine, its.numpy(), rtol=1e-4, atol=1e-5)


def made_by_hand() -> LatencyTable:
    generator = np.random.default_rng(5)
    times = generator.uniform(0.5, 3.0, (4, 4))
    rows = [
        LayerLatency(f"layer{place}", bits, float(times[place, column]), 0.1, "Conv", False, bits)
        for place in range(4)
        for column, bits in enumerate((2, 4, 8, 32))
    ]
    whole = [
        WholeLatency(bits, float(times[:, column].sum()) * 1.25, 0.1)
        for column, bits in enumerate((2, 4, 8, 32))
    ]
    return LatencyTable("hand", "a processor", "a runtime", 1, "processor", 8, (*rows,), (*whole,))


LAYERS = tuple(
    Layer(f"layer{place}", "Linear", (4, 4 + place), 16 + 4 * place, 0, 100, place, place)
    for place in range(4)
)
SCORES = -np.random.default_rng(6).uniform(0, 1, (4, 3)).cumsum(axis=1)[:, ::-1]


def shares() -> dict[tuple[str, int], float]:
    """What layers take of what the network takes, 1.25 times the sum of them alone at any width."""
    return {(f.layer, f.bits): 1.25 * f.milliseconds for f in made_by_hand().layers}


@pytest.mark.parametrize("limit", [4.0, 6.0, 8.0, 10.0])
def test_plans_within_a_latency_are_the_best_of_all(limit) -> None:
    table, each = made_by_hand(), shares()
    best = -math.inf
    for widths in itertools.product((2, 4, 8), repeat=4):
        if sum(each[f"layer{k}", bits] for k, bits in enumerate(widths)) <= limit:
            best = max(best, sum(SCORES[k, (2, 4, 8).index(b)] for k, b in enumerate(widths)))
    if best == -math.inf:
        with pytest.raises(AllocationError, match=r"latency.* ms"):
            allocate(SCORES, LAYERS, bits=(2, 4, 8), costs=[table.costs(limit)])
        return
    plan = allocate(SCORES, LAYERS, bits=(2, 4, 8), costs=[table.costs(limit)])
    assert plan.score == pytest.approx(best, abs=1e-9)
    (target,) = plan.targets
    assert (target.name, target.unit, target.limit) == ("latency", "ms", limit)
    assert target.achieved == pytest.approx(sum(each[key] for key in plan.widths.items()))
    assert target.achieved == pytest.approx(table.predicted(plan.widths))
    assert target.achieved <= limit


def test_a_network_of_one_width_is_predicted_to_take_what_it_took(table) -> None:
    for whole in table.whole:
        widths = dict.fromkeys(table.names, whole.bits)
        assert table.predicted(widths) == pytest.approx(whole.milliseconds)


def test_the_command_plans_within_a_latency(tmp_path, capsys) -> None:
    save_latencies(made_by_hand(), tmp_path / "latency.json")
    made = SensitivityTable(SCORES, bits=(2, 4, 8), layers=LAYERS, proxy="fit")
    save_table(made, tmp_path / "table.json")
    given = [
        "--table", str(tmp_path / "table.json"), "--no-plot", "--out", str(tmp_path / "plan.json"),
        "--latency-table", str(tmp_path / "latency.json"),
    ]  # fmt: skip
    assert allocate_main([*given, "--latency", "8.5", "--exclude", "layer3"]) == 0
    plan = load_plan(tmp_path / "plan.json")
    assert plan.targets[0].achieved == pytest.approx(made_by_hand().predicted(plan.widths))
    assert plan.provenance["latency"] == "a processor, a runtime, 1 thread"
    assert "latency" in capsys.readouterr().out
    with pytest.raises(AllocationError, match="--latency and --latency-table go together"):
        allocate_main(given)
    with pytest.raises(AllocationError, match="at 8 bits, and --activation-bits is 4"):
        allocate_main([*given, "--latency", "8", "--activation-bits", "4"])
    with pytest.raises(AllocationError, match="no cost of layer 'layer0' at 3 bits"):
        allocate_main([*given, "--latency", "8", "--fix", "layer0=3"])
    grouped = ScoredNetwork(made, granularity=Granularity(per_channel=True, group=64))
    save_table(grouped, tmp_path / "table.json")
    with pytest.raises(AllocationError, match="weights without groups, and --scale-group is 64"):
        allocate_main([*given, "--latency", "8.5", "--exclude", "layer3"])


def test_tables_are_read_as_they_were_written(tmp_path, table) -> None:
    for made in (table, made_by_hand()):
        save_latencies(made, tmp_path / "latency.json")
        assert load_latencies(tmp_path / "latency.json") == made


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda t: replace(t, layers=()), "there are no layers"),
        (lambda t: replace(t, layers=t.layers[1:]), "layer 'layer0' lacks 2 bits"),
        (lambda t: replace(t, layers=(*t.layers, t.layers[0])), "at 2 bits comes twice"),
        (lambda t: replace(t, whole=t.whole[:2]), "once at each of 2, 4, 8, 32"),
        (
            lambda t: replace(t, layers=(replace(t.layers[0], milliseconds=0.0), *t.layers[1:])),
            "milliseconds must be a positive number, not 0.0",
        ),
        (
            lambda t: replace(t, layers=(replace(t.layers[0], bits=9), *t.layers[1:])),
            "bits are 2 to 8, or 32",
        ),
    ],
)
def test_tables_that_cannot_be_are_refused(tmp_path, changed, message) -> None:
    save_latencies(changed(made_by_hand()), tmp_path / "latency.json")
    with pytest.raises(AllocationError, match=message):
        load_latencies(tmp_path / "latency.json")


def test_rounds_are_medians_of_means_after_one_that_does_not_count() -> None:
    now = 0.0
    # Seconds of each run of each round: of its four runs the first does not count.
    steps = iter([9.0] * 4 + [9.0] + [1.0] * RUNS + [9.0] + [3.0] * RUNS + [9.0] + [2.0] * RUNS)

    def run() -> None:
        nonlocal now
        now += next(steps)

    done = []
    found = time_in_rounds({"a": run}, 3, clock=lambda: now, progress=done.append)["a"]
    assert found.milliseconds == pytest.approx(2000)
    assert found.spread == pytest.approx(1000)  # quarters of 1, 2, 3 are 1.5 and 2.5
    assert done == [0, 1, 2, 3]


def test_a_missing_runtime_is_named_with_what_installs_it(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    out = tmp_path / "latency.json"
    assert exit_status(lambda: main(["--out", str(out)])) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "pip install gp_emq[profile]" in told
    assert not out.exists()


def test_networks_of_tokens_are_refused(network) -> None:
    with pytest.raises(ExportError, match="one tensor of floats, as tokens does not take"):
        profile(replace(network, name="tokens", input_shape=()), torch.zeros(1, 2))


def test_the_command_writes_what_it_prints(tmp_path, capsys) -> None:
    out = tmp_path / "latency.json"
    given = ["--network", "wide-digits", "--images", "4", "--bits", "8", "--rounds", "1"]
    assert main([*given, "--out", str(out)]) == 0
    found = capsys.readouterr()
    assert found.out == format_latencies(load_latencies(out))
    assert f"wrote {out}" in found.err


def test_a_graph_that_onnxruntime_does_not_run_is_refused_in_one_line() -> None:
    make, kind = onnx.helper, onnx.TensorProto.BFLOAT16
    shapes = {"x": [1, 1, 2, 2], "w": [1, 1, 2, 2], "y": [1, 1, 1, 1]}
    values = [make.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    node = make.make_node("Conv", ["x", "w"], ["y"])
    graph = make.make_graph([node], "g", values[:2], values[2:])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(ExportError, match=r"does not run the graph: .*bfloat16") as told:
        Runnable(model.SerializeToString(), threads=1)
    assert "\n" not in str(told.value)


class Forms(nn.Module):
    """Layers whose weights torch has in another form, or computes from others."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 4, 3)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.up(images).flatten(2).transpose(1, 2)
        tokens = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.mean(1))


def test_layers_of_other_forms_are_timed() -> None:
    torch.manual_seed(0)
    model, images = Forms().eval(), torch.randn(4, 2, 3, 3)
    network = Network("forms", model, find_layers(model, images), (2, 3, 3))
    found = profile(network, images, ProfileSettings((8,), rounds=1))
    timed = {row.layer: row.milliseconds for row in found.layers if row.bits == 8}
    assert list(timed) == ["up", *(f"attention.{of}_proj" for of in ("q", "k", "v", "out")), "head"]
    assert min(timed.values()) > 0
