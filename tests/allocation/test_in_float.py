"""What stays in float is listed with its reason: in Python, in plans, and in the files of old."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gp_emq.allocation import (
    ScoredNetwork,
    allocate,
    format_plan,
    kept_in_float,
    load_plan,
    load_table,
    save_plan,
    save_table,
    told_reasons,
)
from gp_emq.errors import AllocationError
from gp_emq.networks import Workload, find_layers
from gp_emq.proxies import SensitivityTable
from gp_emq.proxies.loading import load_proxy
from gp_emq.statistics import collect_statistics


class Mixed(nn.Module):
    """One of everything that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(3, 4))
        self.read = nn.Embedding(9, 4, max_norm=1.0)
        self.steps = nn.LSTM(4, 4, batch_first=True)
        self.cell = nn.GRUCell(4, 4)
        self.norm = nn.LayerNorm((3, 4))
        self.bag = nn.EmbeddingBag(9, 4)
        self.pair = nn.Bilinear(4, 4, 2)
        self.unused = nn.Linear(4, 4)
        self.head = nn.Linear(4, 5)
        self.tail = nn.Linear(5, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.norm(self.steps(self.read(tokens) + self.token)[0])
        found = found.mean(1) + self.bag(tokens)
        return self.tail(self.head(self.cell(found)) + self.pair(found, found).sum())


class Aside(nn.Module):
    """Attention that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.aside = nn.Linear(4, 4), nn.MultiheadAttention(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


TOKENS = torch.zeros(1, 3, dtype=torch.long)
ONE_PRODUCT = "its weights are no layer of one product"
REASONS = {
    "token": "Mixed: a parameter of its own, which is no layer's weight",
    "read.weight": "max_norm changes it as it is used",
    "steps.weight_ih_l0": f"LSTM: {ONE_PRODUCT}",
    "steps.weight_hh_l0": f"LSTM: {ONE_PRODUCT}",
    "cell.weight_ih": f"GRUCell: {ONE_PRODUCT}",
    "cell.weight_hh": f"GRUCell: {ONE_PRODUCT}",
    "norm.weight": "LayerNorm: normalisation",
    "norm.bias": "LayerNorm: normalisation",
    "bag.weight": "EmbeddingBag: it sums rows of its weight",
    "pair.weight": "Bilinear: a product of two inputs",
    "unused.weight": "Linear: no sample calls it: its weight is used outside of it, or not at all",
}


@pytest.fixture(scope="module")
def mixed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mixed().eval()
    layers = find_layers(model, TOKENS)
    plan = allocate([[-2.0, -1.0]] * 2, layers, bits=(2, 4), average_bits=4)
    return model, layers, replace(plan, kept_in_float=kept_in_float(model, layers))


def test_every_weight_of_no_layer_has_its_reason(mixed) -> None:
    model, layers, _ = mixed
    assert [layer.name for layer in layers] == ["head", "tail"]
    assert kept_in_float(model, layers) == REASONS
    excluded = kept_in_float(model, layers[:1], layers[1:])
    assert excluded == {**REASONS, "tail.weight": "the plan leaves its layer in float"}
    # Every weight of two axes or more is quantized or listed.
    weights = {name for name, value in model.named_parameters() if value.dim() > 1}
    assert weights == set(REASONS) | {"head.weight", "tail.weight"}


def test_layers_that_statistics_were_not_asked_for_are_not_said_to_be_unused() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    images = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    every = find_layers(model, images)
    some = collect_statistics(Workload(model, images), bits=(2, 4), layers=every[:1])
    assert dict(some.kept_in_float) == {
        "2.weight": "Linear: it is none of the layers that were asked for"
    }
    aside = collect_statistics(Workload(Aside(), images), bits=(2, 4))
    assert all("no sample calls it" in reason for reason in aside.kept_in_float.values())
    assert len(aside.kept_in_float) == 2


def test_weights_in_other_forms_say_so() -> None:
    turned = nn.ConvTranspose1d(4, 4, 3)
    turned.forward = lambda x: x  # computes by itself
    model = nn.Sequential(turned, nn.Conv1d(4, 2, 1))
    kept = kept_in_float(model, find_layers(model, torch.zeros(1, 4, 5)))
    assert list(kept) == ["0.weight"]
    assert kept["0.weight"].startswith("ConvTranspose1d: it computes by itself")
    model = Aside()
    kept = kept_in_float(model, find_layers(model, torch.zeros(1, 4)))
    assert list(kept) == ["aside.in_proj_weight", "aside.out_proj.weight"]
    assert all("MultiheadAttention: no sample calls it" in reason for reason in kept.values())


def test_a_line_names_the_first_of_each_reason() -> None:
    kept = {f"layers.{place}": "one" for place in range(8)} | {"last": "another", "old": ""}
    assert told_reasons(kept) == (
        "layers.0, layers.1, layers.2, layers.3, layers.4, ... (one); last (another); old"
    )
    assert told_reasons({}) == ""


def test_plans_tell_the_reasons_and_files_keep_them(mixed, tmp_path: Path) -> None:
    plan = mixed[2]
    text = format_plan(plan)
    assert f"steps.weight_ih_l0, steps.weight_hh_l0 (LSTM: {ONE_PRODUCT})" in text
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    assert json.loads((tmp_path / "plan.json").read_text())["kept_in_float"] == REASONS


def test_plans_of_old_have_names_without_reasons(mixed, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    save_plan(mixed[2], path)
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "kept_in_float": list(REASONS)}))
    found = load_plan(path)
    assert found.kept_in_float == dict.fromkeys(REASONS, "")
    assert "not counted: token, read.weight, steps.weight_ih_l0" in format_plan(found)
    for damaged in ([1], {"a": 1}, "a"):
        path.write_text(json.dumps({**values, "kept_in_float": damaged}))
        with pytest.raises(AllocationError, match="kept_in_float"):
            load_plan(path)
    # Where nothing stays in float, a file is what it always was.
    save_plan(replace(mixed[2], kept_in_float={}), path)
    assert json.loads(path.read_text())["kept_in_float"] == []
    assert load_plan(path).kept_in_float == {}


@pytest.mark.parametrize("kept", [REASONS, {}])
def test_saved_scores_keep_them_too(mixed, kept: dict[str, str], tmp_path: Path) -> None:
    table = SensitivityTable([[-2.0, -1.0]] * 2, bits=(2, 4), layers=mixed[1])
    save_table(ScoredNetwork(table, kept_in_float=kept), tmp_path / "table.json")
    assert load_table(tmp_path / "table.json").kept_in_float == kept
    assert json.loads((tmp_path / "table.json").read_text())["kept_in_float"] == (kept or [])


@pytest.mark.parametrize("model", [Mixed(), Aside()], ids=["mixed", "aside"])
def test_plans_of_a_proxys_table_say_what_stays_in_float(model: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = torch.randint(0, 9, (6, 3)) if isinstance(model, Mixed) else torch.randn(6, 4)
    statistics = collect_statistics(Workload(model, given), bits=(2, 4, 8))
    table = load_proxy("fit").table(statistics)
    wanted = kept_in_float(model, statistics.layers)
    assert wanted
    assert table.kept_in_float == statistics.kept_in_float == wanted
    assert copy.deepcopy(table).kept_in_float == wanted
    plan = allocate(table, average_bits=4)
    assert plan.kept_in_float == wanted
    assert "stay in float and are not counted" in format_plan(plan)
    save_table(table, tmp_path / "table.json")
    assert load_table(tmp_path / "table.json").kept_in_float == wanted
    assert not allocate(table.copy(), table.layers, bits=table.bits, average_bits=4).kept_in_float


def test_keys_and_values_that_attention_adds_to_sequences_say_so() -> None:
    class Added(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0]

    model, samples = Added(), torch.randn(2, 3, 4)
    reason = "MultiheadAttention: a key or a value of its own, which is no layer's weight"
    kept = kept_in_float(model, find_layers(model, samples))
    assert kept == {"attention.bias_k": reason, "attention.bias_v": reason}
