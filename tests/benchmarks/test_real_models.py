"""Real models, from a workload to rows and a table; small ones here, that need no other package."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.real_models import __main__ as command
from benchmarks.real_models.model import (
    PERPLEXITY,
    SHARE,
    RealModel,
    beside_float,
    package,
    packaged_file,
)
from benchmarks.real_models.rows import FLOAT, RACED, UNIFORM, Row, Rows
from benchmarks.real_models.study import AVERAGES, CELLS, PLANS, PROXIES, Study, measure
from benchmarks.real_models.table import table
from gp_emq.errors import NetworkError
from gp_emq.measured import contenders


def workload(*, seed: int = 0, factor: float = 1.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 12), nn.Linear(12, 3))
    inputs = torch.randn(72, 6, generator=torch.Generator().manual_seed(1))
    return beside_float(model, factor * inputs)


SMALL = RealModel("small", "three layers", workload, calibration=16, held_back=32)


@pytest.fixture(scope="module")
def rows() -> Rows:
    found = Rows()
    measure(SMALL, found)
    return found


def test_every_cell_has_a_metric_of_every_sample_that_planned_nothing(rows) -> None:
    found = rows.of("small", CELLS)
    assert list(found) == list(CELLS)
    assert len(CELLS) == 1 + len(AVERAGES) * (2 + len(PROXIES))
    assert {len(row.values) for row in found.values()} == {72 - 16 - 32}
    assert {row.fault for row in found.values()} == {""}
    assert max(found[FLOAT, 0].values) < 1e-12
    for plan in PLANS:
        means = [float(np.mean(found[plan, average].values)) for average in AVERAGES]
        assert means == sorted(means, reverse=True), plan


def test_sizes_are_those_of_a_packed_file(rows) -> None:
    found = rows.of("small", CELLS)
    weights, channels = {"0": 6 * 20, "2": 20 * 12, "3": 12 * 3}, {"0": 20, "2": 12, "3": 3}
    assert found[FLOAT, 0].size == 4 * (sum(weights.values()) + sum(channels.values()))
    for row in list(found.values())[1:]:
        # Weights in whole bytes, and for each channel a scale and a bias of four bytes.
        by_hand = sum(-(-weights[name] * bits // 8) + 8 * channels[name]
                      for name, bits in row.widths.items())  # fmt: skip
        assert row.size == by_hand
        numbers = {name: weights[name] + channels[name] for name in weights}
        spent = sum(numbers[name] * bits for name, bits in row.widths.items())
        assert spent <= row.average * sum(numbers.values())
        if row.plan == UNIFORM:
            assert set(row.widths.values()) == {row.average}


def test_the_plan_that_loses_least_on_samples_of_their_own_wins_the_race(rows, monkeypatch) -> None:
    study = Study(SMALL)
    kept = dict(rows.of("small", CELLS))
    for average in AVERAGES:
        row = kept[RACED, average]
        assert row.planned_by in (UNIFORM, *contenders())
        assert study.measure(row.planned_by, average).widths == row.widths
    plans = {UNIFORM: (2, 2, 2), "narrow": (2, 2, 3), "wide": (6, 6, 6), "same": (6, 6, 6)}
    monkeypatch.setattr(study, "_planned", lambda by, _average: plans[by])
    for names, winner in (("narrow", "wide", "same"), "wide"), (("narrow",), "narrow"):
        monkeypatch.setattr(study, "_contenders", names)
        row = study.measure(RACED, 3)
        assert (row.planned_by, *row.widths.values()) == (winner, *plans[winner])


def test_the_metric_is_relative_to_an_answer_that_knows_no_input() -> None:
    made = workload()
    with torch.no_grad():
        outputs = made.model(made.samples)
    mean = outputs.mean(dim=0)
    knows_nothing = made.metric.measure(mean.expand_as(outputs), outputs)
    assert knows_nothing.mean() == pytest.approx(1.0)
    one = made.metric.measure(outputs + torch.tensor([0.1, 0.0, 0.2]), outputs)
    assert one == pytest.approx(0.05 / float((outputs - mean).square().sum(1).mean()), rel=1e-4)


def test_a_killed_call_goes_on_and_finished_cells_are_not_measured_again(tmp_path, rows) -> None:
    path, found = tmp_path / "rows.jsonl", rows.of("small", CELLS)
    kept = Rows(path)
    for row in found.values():
        kept.put(row)
    whole = path.read_bytes()
    assert Rows(path).of("small", CELLS) == found

    def never():
        raise AssertionError("it was made again")

    measure(RealModel("small", "", never), Rows(path))
    assert path.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # killed while it wrote
    measure(SMALL, Rows(path))
    assert Rows(path).of("small", CELLS) == found
    assert path.read_bytes().splitlines()[-len(lines) + 5 :] == [line.strip() for line in lines[5:]]


def test_cells_of_other_weights_samples_or_settings_are_measured_anew(tmp_path, rows) -> None:
    path, found = tmp_path / "rows.jsonl", rows.of("small", CELLS)
    own = Study(SMALL).origin
    others = {
        "weights": RealModel("small", "", partial(workload, seed=1), 16, 32),
        "samples": RealModel("small", "", partial(workload, factor=2.0), 16, 32),
        "calibration": RealModel("small", "", workload, 17, 32),
        "method": RealModel("small", "", workload, 16, 32, "adaround"),
        "race": RealModel("small", "", workload, 16, 33),
        "groups": RealModel("small", "", workload, 16, 32, group=4),
    }
    assert len({own, *(Study(model).origin for model in others.values())}) == 1 + len(others)
    kept = Rows(path)
    for cell in CELLS[:3]:
        kept.put(found[cell])
    measure(others["weights"], kept)
    again = kept.of("small", CELLS)
    assert {row.origin for row in again.values()} == {Study(others["weights"]).origin}


def test_cells_of_a_race_of_others_are_measured_anew_and_no_other_cells(rows) -> None:
    kept, found = Rows(), rows.of("small", CELLS)
    for cell, row in found.items():
        kept.put(replace(row, contenders="") if cell == (RACED, 4) else row)
    asked: list[str] = []

    def made():
        asked.append("made")
        return workload()

    measure(replace(SMALL, make=made), kept)
    assert asked == ["made"]
    assert kept.of("small", CELLS) == found
    assert {row.plan for row in found.values() if row.contenders} == {RACED}


def test_a_fault_is_said_in_its_cell() -> None:
    class Early(nn.Module):
        """Numbers that leave the range of floats once weights are rounded."""

        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gone = (self.one.weight * 256).frac().abs().sum() == 0
            return self.one(x) / torch.where(gone, 0.0, 1.0)

    torch.manual_seed(0)
    model = Early()
    inputs = torch.randn(12, 2)
    row = Study(RealModel("early", "", lambda: beside_float(model, inputs), 4, 4)).measure(
        "no-such-proxy", 3
    )
    assert row.values == []
    assert "no-such-proxy" in row.fault
    shown = table(
        RealModel("early", "e", workload),
        {cell: Row("early", *cell, "", "m", False, fault="why") for cell in CELLS},
    )
    assert "| `fit` | none: why | none: why | none: why |" in list(shown)


def of_values(plan: str, average: int, values: list[float], higher: bool) -> Row:
    return Row("m", plan, average, "", "right", higher, 2048, values)


def test_a_table_has_intervals_and_says_what_is_surely_better() -> None:
    ones, zeros = [1.0] * 50, [0.0] * 50
    found = {cell: of_values(*cell, [*ones, *zeros], True) for cell in CELLS}
    found["fit", 3] = of_values("fit", 3, [*ones, *ones], True)
    found["gp-gradient", 3] = of_values("gp-gradient", 3, [*zeros, *zeros], True)
    for average, winner in zip(AVERAGES, ("fit", UNIFORM, "gp-views"), strict=True):
        found[RACED, average] = replace(found["fit", average], plan=RACED, planned_by=winner)
    head, _, columns, _, uniform, fit, gradient, raced, _ = table(
        RealModel("m", "what it is", workload, form=SHARE), found
    )
    assert head == (
        "**m**: what it is. Right, higher is better, of 100 samples; 32 others calibrate, "
        "plans race on 64; `rtn`. Float: 50.0 % [40.4 %, 59.6 %], 2.0 KiB."
    )
    assert columns == "| plan by | 3 bits, 2.0 KiB | 4 bits, 2.0 KiB | 5 bits, 2.0 KiB |"
    # Wilson's interval by hand: 50 of 100, and 100 of 100 with 100 / (100 + 1.96²) below.
    assert uniform == "| one width |" + " 50.0 % [40.4 %, 59.6 %] |" * 3
    assert fit.startswith("| `fit` | **100.0 % [96.3 %, 100.0 %]** | 50.0 %")
    assert gradient.startswith("| `gp-gradient` | *0.0 % [0.0 %, 3.7 %]* | 50.0 %")
    assert raced == (
        "| race | **100.0 % [96.3 %, 100.0 %]** `fit` | 50.0 % [40.4 %, 59.6 %] one width "
        "| 50.0 % [40.4 %, 59.6 %] `gp-views` |"
    )
    assert "*" not in uniform


def test_perplexities_are_exponentials_of_mean_losses() -> None:
    losses = [0.5, 1.0, 1.5]
    found = {cell: of_values(*cell, losses, False) for cell in CELLS}
    found["fit", 4] = of_values("fit", 4, [0.49, 0.991, 1.489], False)
    head, *_, fit, _, _, _ = table(RealModel("m", "w", workload, form=PERPLEXITY), found)
    # e, and e to the powers 1 ± 1.96 · 0.5 / √3.
    assert "Perplexity, lower is better" in head
    assert "Float: 2.718 [1.544, 4.786]" in head
    assert "**2.69" in fit


def test_a_package_that_is_not_there_is_named_with_its_way_to_get_it(monkeypatch, capsys) -> None:
    with pytest.raises(NetworkError, match=r"no_such_package.*pip install 'gp_emq\[models\]'"):
        package("no_such_package", "'gp_emq[models]'")
    with pytest.raises(NetworkError, match=r"no a/b of no_such_package: pip install --no-deps x"):
        packaged_file("no_such_package", "a/b", "--no-deps x")
    with pytest.raises(NetworkError, match=r"no no/such.pth of torch: pip install torch"):
        packaged_file("torch", "no/such.pth", "torch")
    absent = RealModel("absent", "not here", partial(package, "no_such_package", "x"))
    monkeypatch.setattr(command, "MODELS", {"absent": absent, "small": SMALL})
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert "**absent**: not here. Not measured: no_such_package cannot be imported" in out
    assert "**small**: three layers. Divergence, lower is better, of 24 samples; 16 others" in out
    with pytest.raises(NetworkError):
        command.main(["absent"])


def test_the_command_keeps_its_rows(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "MODELS", {"small": SMALL})
    path = tmp_path / "rows.jsonl"
    assert command.main(["small", "--out", str(path)]) == 0
    first = capsys.readouterr().out
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == len(CELLS)
    assert command.main(["small", "--out", str(path)]) == 0
    assert capsys.readouterr() == (first, "")
