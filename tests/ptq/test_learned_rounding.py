"""Statistics of networks whose rounding is learned, against the networks that recipes make."""

import copy
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

import gp_emq
from gp_emq import ptq
from gp_emq.allocate import main as allocate
from gp_emq.allocation import load_plan
from gp_emq.networks import find_layers, workload_of
from gp_emq.ptq import QuantizationSettings, make_task, rounding_of
from gp_emq.quantization import recipes
from gp_emq.quantization.recipes import find_recipe, learned_rounding
from gp_emq.quantize import main as quantize

SETTINGS = QuantizationSettings(iterations=20)
ADAROUND = find_recipe("adaround")


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5)
    ).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(24, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def test_statistics_see_the_weights_that_quantize_makes(network, images, tmp_path) -> None:
    layers = find_layers(network, images[:1])
    rounding = rounding_of(ADAROUND, workload_of(network, images), layers, SETTINGS, cache=tmp_path)
    assert rounding is not None
    for width in (2, 4):
        widths = {layer.name: width for layer in layers}
        made = ptq.run_recipe(ADAROUND, network, widths, images, SETTINGS)
        for layer in layers:
            expected = made.network.get_submodule(layer.name).weight
            assert torch.equal(rounding.weight(layer, width), expected)
    # What statistics had learned is not learned again.
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    assert len(before) == 2 * len(layers)
    widths = {layer.name: 2 for layer in layers}
    ptq.run_recipe(ADAROUND, network, widths, images, SETTINGS, cache=tmp_path)
    after = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    assert after == before


def test_a_weight_is_learned_when_it_is_asked_for_and_once(network, images, monkeypatch) -> None:
    layers, learned = find_layers(network, images[:1]), Counter()
    workload = workload_of(network, images)

    def rounded(self, task, layer, width, *_):
        learned[layer.name, width] += 1
        return find_recipe("rtn").round_layer(task, layer, width, lambda *_: None)

    monkeypatch.setattr(recipes.Recipe, "rounded", rounded)
    tasks = []

    def task():
        tasks.append(make_task(ADAROUND, workload, layers, SETTINGS))
        return tasks[-1]

    rounding = learned_rounding(ADAROUND, task, "identity")
    assert rounding is not None
    assert (rounding.identity, tasks) == ("identity", [])
    for _ in range(3):
        rounding.weight(layers[0], 3)
    rounding.weight(layers[1], 3)
    assert len(tasks) == 1
    assert learned == {(layers[0].name, 3): 1, (layers[1].name, 3): 1}


@pytest.mark.parametrize("name", ["rtn", "rtn+bn", "rtn+bn-correction", "brecq"])
def test_recipes_that_learn_nothing_of_single_layers_round_to_the_nearest(
    name, network, images
) -> None:
    layers = find_layers(network, images[:1])
    assert rounding_of(find_recipe(name), workload_of(network, images), layers, SETTINGS) is None


def test_the_identity_says_what_weights_are_learned_from(network, images) -> None:
    layers = find_layers(network, images[:1])

    def identity(model=network, samples=images, settings=SETTINGS):
        found = rounding_of(ADAROUND, workload_of(model, samples), layers, settings)
        assert found is not None
        return found.identity

    other = copy.deepcopy(network)
    with torch.no_grad():
        other[0].weight.mul_(2)
    different = [
        identity(model=other),
        identity(samples=images[:12]),
        identity(settings=QuantizationSettings(iterations=21)),
        identity(settings=QuantizationSettings(iterations=20, activation_bits=32)),
        identity(settings=QuantizationSettings(iterations=20, seed=1)),
    ]
    assert identity() == identity()
    assert len({identity(), *different}) == 1 + len(different)


def test_recipes_that_learn_alike_share_what_is_learned(network, images, tmp_path) -> None:
    widths = {layer.name: 3 for layer in find_layers(network, images[:1])}
    options = {"iterations": 3, "cache": tmp_path}
    gp_emq.quantize(network, widths, images, method="adaround", **options)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    assert len(before) == 2
    for correction in ("bias-correction", "bn-correction"):
        gp_emq.quantize(network, widths, images, method=f"adaround+{correction}", **options)
    after = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.safetensors")}
    assert after == before


def test_recipes_say_what_they_leave_of_batch_norms() -> None:
    renews = {recipe.name: recipe.renews_norms for recipe in recipes.list_recipes()}
    assert renews == {
        "rtn": False, "rtn+bias-correction": False, "rtn+bn": True, "rtn+bn-correction": True,
        "adaround": False, "adaround+bias-correction": False, "adaround+bn-correction": True,
        "brecq": True,
    }  # fmt: skip


def test_best_plan_sees_the_weights_that_it_measures(network, images, monkeypatch) -> None:
    """With learned rounding the race's tables are of the weights that its network has."""
    collect, seen = gp_emq.collect_statistics, []

    def watched(*arguments, **named):
        seen.append((named["rounding"], named["settings"].renormed))
        return collect(*arguments, **named)

    monkeypatch.setattr("gp_emq.measured._best.collect_statistics", watched)
    calls = Counter()
    learn = ADAROUND.round_layer

    def counted(task, layer, width, report):
        calls[layer.name, width] += 1
        return learn(task, layer, width, report)

    monkeypatch.setattr(
        "gp_emq.quantization.recipes.adaround.RECIPE",
        recipes.Recipe("adaround", "counted", counted, iterations=20),
    )
    samples = torch.cat([images] * 4) + 0.1 * torch.randn(96, 1, 6, 6)
    for method in ("adaround", "rtn"):
        found = gp_emq.best_plan(
            network, samples, average_bits=3, bits=(2, 3, 4), proxies=["gp-views", "fit_trace"],
            measuring=gp_emq.measured.MeasureOptions(measure_method=method, measure_images=48),
            calibration=24,
        )  # fmt: skip
        assert found.plan.provenance["method"] == method
    (rounding, renormed), (nearest, as_trained) = seen
    assert rounding is not None
    assert (renormed, nearest, as_trained) == (False, None, False)
    # The network of the race learned each once, and formulas took what was there.
    assert set(calls.values()) == {1}
    assert len(calls) == 2 * 3


def test_allocate_and_quantize_share_what_is_learned(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        "gp_emq.quantization.recipes.adaround.RECIPE",
        recipes.Recipe("adaround", "short", ADAROUND.round_layer, iterations=2),
    )
    given = ["--network", "plain-digits", "--average-bits", "3", "--bits", "2,3,4"]
    given += [
        "--images",
        "32",
        "--proxy",
        "min_max(recipe_divergence)",
        "--no-plot",
        "--baselines",
        "none",
    ]
    tables = []
    for method in ([], ["--measure-method", "adaround"]):
        out = tmp_path / f"table{len(method)}.json"
        allocate([*given, *method, "--save-table", str(out)])
        tables.append(gp_emq.allocation.load_table(out).table)
    assert not (tables[0] == tables[1]).all()
    kept = {*(tmp_path / "cache").rglob("roundings/**/*.safetensors")}
    assert len(kept) == 8 * 3  # layers and widths
    plan = tmp_path / "plan.json"
    allocate([*given, "--measure-method", "adaround", "--out", str(plan)])
    assert load_plan(plan).provenance["method"] == "adaround"
    quantize(["--plan", str(plan), "--images", "32", "--tests", "64"])
    assert {*(tmp_path / "cache").rglob("roundings/**/*.safetensors")} == kept
    capsys.readouterr()
