"""Plans as CSV and as the settings of other libraries, loaded there where they are installed."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gp_emq.allocate import main
from gp_emq.allocation import allocate, load_plan, modelopt_config, plan_csv, torchao_config
from gp_emq.errors import GpEmqError
from gp_emq.networks import find_layers

PAGE = Path(__file__).parents[2] / "docs" / "allocation.md"
BITS = (2, 3, 4, 5, 8)


class Kinds(nn.Module):
    """Every kind of layer, one under a name that is a pattern."""

    def __init__(self) -> None:
        super().__init__()
        self.plain, self.depthwise = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
        self.line, self.volume = nn.Conv1d(4, 4, 3), nn.Conv3d(1, 2, 1)
        self.steps = nn.ModuleList([nn.Linear(20, 8)])
        self.add_module("odd[x]", nn.Linear(8, 6))
        self.head = nn.Linear(6, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mixed = self.line(self.depthwise(self.plain(images)).flatten(2))[:, None, :, :5, None]
        tokens = self.volume(mixed).mean(1)[..., 0].flatten(1)
        return self.head(self.get_submodule("odd[x]")(self.steps[0](tokens)))


class Projections(nn.Sequential):
    """Linear layers alone, wide enough that every integer of a grid occurs."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(600, 7), nn.Linear(7, 600), nn.ReLU(), nn.Linear(600, 3))


WIDTHS = {"plain": 3, "depthwise": 4, "line": 5, "volume": 8, "steps.0": 2, "odd[x]": 8}


def planned(model: nn.Module, images: torch.Tensor, fix: dict[str, int], exclude: list[str]):
    layers = find_layers(model, images)
    return allocate(
        [[-5.0, -4.0, -3.0, -2.0, -1.0]] * len(layers), layers, bits=BITS, average_bits=8, fix=fix,
        exclude=exclude,
    )  # fmt: skip


@pytest.fixture
def kinds():
    torch.manual_seed(0)
    model, images = Kinds().eval(), torch.rand(4, 1, 8, 8)
    return model, images, planned(model, images, WIDTHS, ["head"])


@pytest.fixture
def projections():
    torch.manual_seed(0)
    model, inputs = Projections().eval(), torch.randn(4, 600)
    return model, inputs, planned(model, inputs, {"0": 2, "1": 5}, ["3"])


def test_a_csv_has_one_line_for_each_layer(kinds) -> None:
    plan = kinds[2]
    rows = list(csv.DictReader(plan_csv(plan).splitlines()))
    assert [row["layer"] for row in rows] == [item.name for item in plan.layers]
    assert {row["layer"]: int(row["bits"]) for row in rows} == WIDTHS | {"head": 32}
    assert rows[-1]["decision"] == "excluded"
    assert [row["score"] for row in rows][:2] == ["-4.0", "-3.0"]
    assert [int(row["parameters"]) for row in rows][:2] == [40, 40]
    assert plan_csv(plan).endswith("\n")
    assert "\r" not in plan_csv(plan)


def test_settings_name_every_quantized_layer_and_no_other(kinds, projections) -> None:
    names = [item["quantizer_name"] for item in modelopt_config(kinds[2])["quant_cfg"]]
    assert names[0] == "*"
    assert names[1:3] == ["plain.weight_quantizer", "plain.input_quantizer"]
    assert "odd[[]x].weight_quantizer" in names
    assert not any("head" in name for name in names)
    by_name = torchao_config(projections[2])["_data"]["fqn_to_config"]
    dtypes = {name: item["_data"]["weight_dtype"]["_data"] for name, item in by_name.items()}
    assert dtypes == {"0": "int2", "1": "int5"}


class Words(nn.Sequential):
    """A table, wide enough that every integer of a grid occurs, and a product."""

    def __init__(self) -> None:
        super().__init__(nn.Embedding(9, 600), nn.Linear(600, 9))


@pytest.fixture
def words():
    torch.manual_seed(0)
    model, tokens = Words().eval(), torch.randint(0, 9, (4, 3))
    return model, tokens, planned(model, tokens, {"0": 3, "1": 5}, [])


def test_tables_of_embeddings_have_settings_of_weights_alone(words) -> None:
    plan = words[2]
    names = [item["quantizer_name"] for item in modelopt_config(plan)["quant_cfg"]]
    assert names == ["*", "0.weight_quantizer", "1.weight_quantizer", "1.input_quantizer"]
    by_name = torchao_config(plan)["_data"]["fqn_to_config"]
    assert [item["_data"]["weight_dtype"]["_data"] for item in by_name.values()] == ["int3", "int5"]
    assert [row["kind"] for row in csv.DictReader(plan_csv(plan).splitlines())] == [
        "Embedding",
        "Linear",
    ]


@pytest.mark.filterwarnings("ignore")
def test_model_optimizer_quantizes_tables_as_the_plan_says(words) -> None:
    mtq = pytest.importorskip("modelopt.torch.quantization")
    model, tokens, plan = words
    quantized = mtq.quantize(model, modelopt_config(plan), lambda network: network(tokens))
    table = quantized.get_submodule("0")
    assert (table.weight_quantizer.num_bits, table.weight_quantizer.axis) == (3, 0)
    assert not table.input_quantizer.is_enabled
    rows = table.weight_quantizer(table.weight)
    assert max(len(row.unique()) for row in rows) <= 2**3


def test_groups_that_the_others_have_not_are_refused(kinds, projections) -> None:
    odd = replace(projections[2], scale_group=64)
    with pytest.raises(GpEmqError, match="those of '0' have 600 values, no multiple of 64"):
        torchao_config(odd)
    convolutions = replace(kinds[2], scale_group=8)
    with pytest.raises(
        GpEmqError, match="Linear and Embedding layers alone, and 'plain' is a Conv2d"
    ):
        modelopt_config(convolutions)
    # Channels no longer than a group have one scale in either.
    settings = modelopt_config(replace(kinds[2], scale_group=20))["quant_cfg"]
    assert all("axis" in item["cfg"] for item in settings[1:])


@pytest.mark.parametrize("group", [50, 600])
def test_settings_say_the_groups(projections, group: int) -> None:
    plan = replace(projections[2], scale_group=group)
    found = torchao_config(plan)["_data"]["fqn_to_config"]
    grouped = {"_type": "PerGroup", "_version": 1, "_data": {"group_size": 50}}
    channel = {"_type": "PerAxis", "_version": 1, "_data": {"axis": 0}}
    expected = {"0": grouped if group == 50 else channel, "1": channel}
    assert {name: item["_data"]["granularity"] for name, item in found.items()} == expected
    shares = {
        item["quantizer_name"]: {key: item["cfg"][key] for key in item["cfg"] if key != "num_bits"}
        for item in modelopt_config(plan)["quant_cfg"][1:]
    }
    assert shares == {
        "0.weight_quantizer": {"block_sizes": {-1: 50}} if group == 50 else {"axis": 0},
        "0.input_quantizer": {"axis": None},
        "1.weight_quantizer": {"axis": 0},
        "1.input_quantizer": {"axis": None},
    }


def test_convolutions_are_not_for_torchao(kinds) -> None:
    with pytest.raises(
        GpEmqError, match="torchao quantizes Linear and Embedding layers alone, and 'plain' and 3 m"
    ):
        torchao_config(kinds[2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", ["projections", "words"])
def test_torchao_quantizes_as_the_plan_says(case, request) -> None:
    pytest.importorskip("torchao")
    from torchao.core.config import config_from_dict
    from torchao.quantization import quantize_

    model, inputs, plan = request.getfixturevalue(case)
    before = model(inputs)
    quantize_(model, config_from_dict(json.loads(json.dumps(torchao_config(plan)))), filter_fn=None)
    for name, bits in plan.widths.items():
        weight = model.get_submodule(name).weight
        assert (int(weight.qdata.min()), int(weight.qdata.max())) == (
            -(2 ** (bits - 1)),
            2 ** (bits - 1) - 1,
        )
        assert weight.scale.numel() == weight.shape[0]
    for item in plan.layers:
        if item.name not in plan.widths:
            assert type(model.get_submodule(item.name).weight) is nn.Parameter
    assert 0 < (model(inputs) - before).abs().max() < 2


@pytest.mark.filterwarnings("ignore")
def test_torchao_has_the_groups_of_the_plan(projections) -> None:
    pytest.importorskip("torchao")
    from torchao.core.config import config_from_dict
    from torchao.quantization import quantize_

    model, _, plan = projections
    config = json.loads(json.dumps(torchao_config(replace(plan, scale_group=50))))
    quantize_(model, config_from_dict(config), filter_fn=None)
    assert model.get_submodule("0").weight.scale.shape == (7, 12)
    assert model.get_submodule("1").weight.scale.numel() == 600


@pytest.mark.filterwarnings("ignore")
def test_model_optimizer_has_the_groups_of_the_plan(projections) -> None:
    mtq = pytest.importorskip("modelopt.torch.quantization")
    model, inputs, plan = projections
    (line,) = [line for line in PAGE.read_text().splitlines() if "numbered = " in line]
    names: dict = {}
    exec(line.strip(), names)  # noqa: S102 - the page is ours
    text = json.dumps(modelopt_config(replace(plan, scale_group=64)))
    config = json.loads(text, object_hook=names["numbered"])
    quantized = mtq.quantize(model, config, lambda network: network(inputs))
    layer = quantized.get_submodule("0")
    weight = layer.weight.detach()
    rounded = layer.weight_quantizer(weight).detach()
    # 9 groups of 64 inputs and one of 24, each with the scale of its own largest.
    assert layer.weight_quantizer.amax.numel() == 7 * 10
    for row, found in zip(weight, rounded, strict=True):
        for part, values in zip(row.split(64), found.split(64), strict=True):
            step = part.abs().max() / (2 ** (2 - 1) - 1)
            expected = (part / step).round().clamp(-2, 1) * step
            torch.testing.assert_close(values, expected)


@pytest.mark.filterwarnings("ignore")
def test_model_optimizer_quantizes_as_the_plan_says(kinds) -> None:
    mtq = pytest.importorskip("modelopt.torch.quantization")
    model, images, plan = kinds
    config = json.loads(json.dumps(modelopt_config(plan)))
    quantized = mtq.quantize(model, config, lambda network: network(images))
    for name, bits in plan.widths.items():
        layer = quantized.get_submodule(name)
        assert layer.weight_quantizer.is_enabled
        assert (layer.weight_quantizer.num_bits, layer.weight_quantizer.axis) == (bits, 0)
        assert layer.input_quantizer.is_enabled
        assert layer.input_quantizer.num_bits == plan.activation_bits == 8
        rows = layer.weight_quantizer(layer.weight).flatten(1)
        assert max(len(row.unique()) for row in rows) <= 2**bits
    assert not quantized.head.weight_quantizer.is_enabled
    assert not quantized.head.input_quantizer.is_enabled


def test_the_command_writes_them(tmp_path, capsys) -> None:
    line = ["--proxy", "relative_error", "--images", "16", "--average-bits", "3", "--no-plot"]
    out, table, settings = (tmp_path / name for name in ("plan.json", "plan.csv", "modelopt.json"))
    main([*line, "--out", str(out), "--csv", str(table), "--modelopt", str(settings)])
    plan = load_plan(out)
    assert table.read_text() == plan_csv(plan)
    assert json.loads(settings.read_text()) == modelopt_config(plan)
    assert capsys.readouterr().err.count("wrote ") == 3
    with pytest.raises(
        GpEmqError, match="torchao quantizes Linear and Embedding layers alone, and 'conv1' and 12"
    ):
        main([*line, "--torchao", str(tmp_path / "torchao.json")])
    exclude = [f"--exclude={name}" for name in ("conv1", "layer*")]
    main([*line, *exclude, "--torchao", str(tmp_path / "torchao.json")])
    found = json.loads((tmp_path / "torchao.json").read_text())
    assert list(found["_data"]["fqn_to_config"]) == ["linear"]


@pytest.mark.parametrize("option", ["--csv", "--torchao", "--modelopt"])
def test_what_is_no_plan_is_not_written(tmp_path, option: str) -> None:
    line = ["--proxy", "relative_error", "--sweep"]
    with pytest.raises(GpEmqError, match=f"{option} writes a plan: give a budget"):
        main([*line, option, str(tmp_path / "file")])
    with pytest.raises(GpEmqError, match="both name"):
        main([*line, "--out", str(tmp_path / "x"), option, str(tmp_path / "x")])
