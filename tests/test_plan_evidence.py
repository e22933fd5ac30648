"""The comparison of plans measures what it says, and measures nothing twice."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from benchmarks import plan_studies, plans
from benchmarks.plan_rows import Rows
from benchmarks.plan_studies import Study, make_plans, present, raced_plans
from gp_emq.errors import ExpressionError, NetworkError
from gp_emq.measured import contenders
from gp_emq.measured._contest import Contest
from gp_emq.networks import Division, Inputs, load_inputs, load_network
from gp_emq.networks._images import load_calibration, load_test
from gp_emq.ptq import QuantizationSettings, quantize

STUDY = Study("digits", (2, 3, 4), (0.5,), ("rtn",), 64)
EXPRESSION = "negate(sum(square(quantization_perturbation)))"


@pytest.fixture(scope="module")
def tabulated(tmp_path_factory: pytest.TempPathFactory):
    """The rows and the table of one size."""
    rows = tmp_path_factory.mktemp("evidence") / "rows.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "STUDIES", (STUDY,))
        said: list[str] = []
        patch.setattr("sys.stdout.write", said.append)
        arguments = ["--rows", str(rows), "--only", "digits", "--tests", "300"]
        plans.main([*arguments, "--evolved", EXPRESSION])
        first = "".join(said)
        said.clear()
        patch.setattr(plans, "run_recipe", None)
        plans.main([*arguments, "--evolved", EXPRESSION])
        assert "".join(said) == first
    return rows, first


@pytest.mark.slow
def test_the_table_has_the_accuracies_of_the_plans(tabulated) -> None:
    _, text = tabulated
    cells = re.findall(r"^\| (\w+) \| \**([\d.]+) %", text, re.MULTILINE)
    shown = {name: float(value) for name, value in cells}
    assert list(shown) == ["uniform", "hawq_v2", "fit", "ompq", "emq", "loss_change", "evolved"]
    network = load_network("digits")
    calibration = load_calibration("digits", count=64, seed=0).images
    test = load_test("digits", calibration=64, count=300, seed=0)
    settings = QuantizationSettings()
    found = make_plans(STUDY, "rtn", settings, EXPRESSION, seed=0, cache=None)
    made = {plan.name: plan for plan in found}
    for name in ("uniform", "fit", "evolved"):
        quantized = quantize(network.model, made[name].widths, calibration, method="rtn")
        right = quantized(test.images).argmax(1) == test.labels
        assert shown[name] == pytest.approx(100 * float(right.double().mean()), abs=0.01)
    assert set(made["uniform"].widths.values()) == {3}
    assert len({plan.limit for plan in made.values()}) == 1
    assert all(plan.size <= plan.limit * (1 + 1e-9) for plan in made.values())


def test_plans_race_and_the_winner_is_compared_too(tmp_path: Path, monkeypatch, capsys) -> None:
    divided, seen = Inputs.divided, []

    def watched(self: Inputs, *arguments: object, **named: int) -> Division:
        seen.append(named["seen"])
        return divided(self, *arguments, **named)

    monkeypatch.setattr(Inputs, "divided", watched)
    monkeypatch.setattr(plans, "STUDIES", (STUDY,))
    arguments = ["--rows", str(tmp_path / "rows.jsonl"), "--only", "digits", "--tests", "100"]
    arguments += ["--proxies", "fit", "ompq", "relative_error"]
    plans.main([*arguments, "--race", "ompq", "relative_error"])
    # Where all images are of one kind, those that calibrate and those of the race measure nothing.
    assert seen == [64 + 1024]
    text = capsys.readouterr().out
    cells = re.findall(r"^\| (\w+) \| \**([\d.]+) %", text, re.MULTILINE)
    shown = dict(cells)
    assert list(shown) == ["uniform", "fit", "ompq", "relative_error", "raced"]
    assert shown["raced"] in {shown["ompq"], shown["relative_error"]}
    # What wins was one of the rows: nothing more was measured on the test images.
    assert len(Rows(tmp_path / "rows.jsonl")._known) <= 5
    with pytest.raises(ExpressionError, match="no proxy 'fitt'"):
        plans.main([*arguments, "--race", "fitt"])


def test_methods_are_a_study_s_own_or_those_that_are_named() -> None:
    normed, plain = nn.BatchNorm2d(3), nn.Linear(2, 2)
    assert plans._methods(STUDY, plain, None) == ["rtn"]
    assert plans._methods(STUDY, plain, ["usual", "adaround"]) == [
        "rtn+bias-correction", "adaround",
    ]  # fmt: skip
    assert plans._methods(STUDY, normed, ["usual", "rtn+bn-correction"]) == ["rtn+bn-correction"]
    assert plans._methods(STUDY, normed, ["learned"]) == ["adaround+bn-correction"]


def test_without_names_those_race_that_race_in_allocate(monkeypatch) -> None:
    racing = {}

    def contest(plans, network):
        racing.update(plans)
        return Contest(winner=next(iter(plans)), losses={}, samples={}, plans=len(plans))

    monkeypatch.setattr(plan_studies, "contest", contest)
    monkeypatch.setattr(plan_studies, "PlanNetwork", lambda *_, **__: None)
    study = replace(STUDY, network="plain-digits")
    (raced,) = raced_plans(study, "rtn", QuantizationSettings(), proxies=(), seed=0, cache=None)
    assert list(racing) == [*contenders(), "uniform"]
    assert set(racing["uniform"]) == {3}
    assert (raced.name, raced.note) == ("raced", "gp-views")
    assert {*raced.widths.values()} <= {2, 3, 4}


def test_a_network_that_is_not_here_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def load(name: str) -> Inputs:
        if name == "large":
            raise NetworkError("large needs the package other")
        return load_inputs(name)

    monkeypatch.setattr(plan_studies, "load_inputs", load)
    large = replace(STUDY, network="large")
    assert present([large, STUDY]) == [STUDY]
    assert capsys.readouterr().err == "large is left out: large needs the package other\n"
    with pytest.raises(NetworkError, match="large needs the package other"):
        present([large])


def test_rows_survive_a_line_that_was_cut_off(tabulated, tmp_path: Path) -> None:
    rows, _ = tabulated
    cut = tmp_path / "rows.jsonl"
    cut.write_text(rows.read_text()[:-40])
    lines = len(rows.read_text().splitlines())
    kept = Rows(cut)
    assert len(kept._known) == lines - 1
    right = np.array([True, False, True])
    kept.put({"plan": 1}, right)
    again = Rows(cut)
    assert len(again._known) == lines
    found = again.get({"plan": 1})
    assert found is not None
    assert np.array_equal(found, right)
    assert again.get({"plan": 2}) is None


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ('"images": 3', '"images": 11'),
        ('"images": 3', '"images": 2'),
        ('"images": 3', '"images": true'),
        ('"right": "oA=="', '"right": "4A=="'),
        ('"right": "oA=="', '"right": "o*A=="'),
        ('"key": {"plan": 1}', '"key": [1]'),
        ('"key"', '"kea"'),
        ("}\n", ', "more": 1}\n'),
    ],
)
def test_a_damaged_row_is_measured_again(said, instead, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Rows(path).put({"plan": 1}, np.array([True, False, True]))
    assert Rows(path).get({"plan": 1}) is not None
    assert said in path.read_text()
    path.write_text(path.read_text().replace(said, instead))
    assert Rows(path)._known == {}


def test_a_summary_says_how_far_each_way_is_behind() -> None:
    cells = [
        plans.Cell("a", {"uniform": 0.90, "fit": 0.95, "evolved": 0.94}),
        plans.Cell("b", {"uniform": 0.80, "fit": 0.70, "evolved": 0.86}),
        # Where one way has no plan, nothing is compared.
        plans.Cell("b", {"uniform": 0.99, "evolved": 0.10}),
    ]
    assert plans._summary(cells) == [
        "2 cells: networks, methods and sizes",
        "",
        "| plan by | mean top-1 | best in | most behind the best |",
        "|---|---:|---:|---:|",
        "| evolved | 90.00 % | 1 | 1.00 % |",
        "| uniform | 85.00 % | 0 | 6.00 % |",
        "| fit | 82.50 % | 1 | 16.00 % |",
    ]
    # 4 and 6 %: half their distance times 12.706, Student's t of one degree of freedom.
    assert plans._differences(cells, "evolved") == [
        "",
        "| evolved is better than | by, mean of 2 networks | 95 % |",
        "|---|---:|---:|",
        "| uniform | +5.00 % | [-7.71, +17.71] |",
        "| fit | +7.50 % | [-100.50, +115.50] |",
    ]
    assert plans._differences(cells[:1], "evolved") == []
