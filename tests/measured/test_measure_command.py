import json
import re
from pathlib import Path

import numpy as np
import pytest

from gp_emq.allocate import main
from gp_emq.allocation import load_plan
from gp_emq.command import exit_status
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.networks import load_inputs

LINE = [
    "--proxy", "relative_error", "--images", "32", "--baselines", "none", "--no-plot",
    "--measure-images", "64", "--average-bits", "2.6",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))


def test_a_measured_plan_says_how_it_was_found(tmp_path, capsys) -> None:
    out = tmp_path / "plan.json"
    line = [*LINE, "--measure", "4", "--calibrate", "4", "--out", str(out)]
    assert main(line) == 0
    text = capsys.readouterr().out
    plan = load_plan(out)
    assert plan.measures.average_bits <= 2.6
    assert plan.provenance["measured"] in text
    assert plan.provenance["calibrated"] in text
    assert plan.provenance["seen"] == "96"
    certificate = json.loads((tmp_path / "plan-certificate.json").read_text())
    assert [line["name"] for line in certificate["lines"]][:2] == ["float", "uniform, 2 bits"]
    assert certificate["lines"][-1]["widths"] == list(plan.configuration)
    assert certificate["verdict"] == "ACCEPT"
    assert "verdict: ACCEPT" in text
    before = out.read_bytes()
    main(line)
    assert out.read_bytes() == before


RACE = ["--images", "32", "--no-plot", "--measure-images", "64", "--average-bits", "2.6"]


def test_plans_of_several_proxies_race_and_the_winners_is_kept(tmp_path, capsys) -> None:
    out = tmp_path / "plan.json"
    names = ["ompq", "relative_error", "fit"]
    line = [*RACE, *(part for name in names for part in ("--proxy", name)), "--out", str(out)]
    assert main(line) == 0
    text = capsys.readouterr().out
    plan = load_plan(out)
    assert plan.provenance["raced"] in text
    assert f"by {plan.provenance['proxy']}" in text
    assert {one.name for one in plan.baselines} == {"uniform", *names} - {plan.provenance["proxy"]}
    # The winner's plan is the one that it makes alone.
    alone = tmp_path / "alone.json"
    main([*RACE, "--proxy", plan.provenance["proxy"], "--baselines", "none", "--out", str(alone)])
    assert load_plan(alone).configuration == plan.configuration
    # Nothing that lost is better on the images of the race.
    losses = {name: float(value) for name, value in _raced(plan.provenance["raced"])}
    assert {*losses} == {*names}
    assert min(losses, key=losses.__getitem__) == plan.provenance["proxy"]


def _raced(said: str) -> list[tuple[str, str]]:
    return re.findall(r"(\w+) ([\d.e-]+) on \d+", said)


def test_a_proxy_that_cannot_rank_stays_out_of_the_race(tmp_path) -> None:
    out = tmp_path / "plan.json"
    line = [
        *RACE,
        "--proxy",
        "subtract(bits, bits)",
        "--proxy",
        "relative_error",
        "--out",
        str(out),
    ]
    assert main(line) == 0
    assert load_plan(out).provenance["proxy"] == "relative_error"
    assert "gives no plan: " in load_plan(out).provenance["raced"]
    with pytest.raises(AllocationError, match="cannot rank"):
        main(
            [
                *RACE,
                "--proxy",
                "subtract(bits, bits)",
                "--proxy",
                "multiply(bits, subtract(bits, bits))",
            ]
        )


def test_budgets_that_cannot_be_met_are_said_before_any_race(capsys) -> None:
    line = [*RACE[:-1], "1.5", "--proxy", "fit", "--proxy", "ompq"]
    assert exit_status(lambda: main(line)) == 4
    assert "average bits" in capsys.readouterr().err


def test_pairs_are_measured_and_said(tmp_path, capsys) -> None:
    out = tmp_path / "plan.json"
    line = [*LINE, "--interactions", "neighbours", "--fix", "layer[12]*=2", "--out", str(out)]
    assert main(line) == 0
    said = load_plan(out).provenance["pairs"]
    assert said in capsys.readouterr().out
    # Six layers are left to choose, of which five pairs are neighbours.
    assert "5 pairs in 48 measured plans" in said


def test_verdicts_have_exit_statuses_of_their_own(capsys) -> None:
    # Two bits everywhere lose some of the answers; a tenth of a percent is less than one image.
    narrow = ["--fix", "*=2", "--max-drop", "0.001"]
    assert exit_status(lambda: main([*LINE, *narrow])) == 3
    assert "verdict: REGRESSION: top-1 lost" in capsys.readouterr().out
    assert exit_status(lambda: main([*LINE, "--max-drop", "1"])) == 0
    assert exit_status(lambda: main([*LINE[:-1], "1.5", "--max-drop", "1"])) == 4
    assert "least possible is 2.0000" in capsys.readouterr().err
    assert exit_status(lambda: main([*LINE, "--max-drop", "2"])) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--measure", "0"], "at least 1"),
        (["--calibrate", "3"], "--calibrate must be at least 4, not 3"),
        (["--measure", "5", "--measure-method", "nonsense"], "unknown method 'nonsense'"),
        (["--measure", "5", "--measure-images", "8"], "at least 32 images"),
        (["--minutes", "-1"], "positive number"),
    ],
)
def test_wrong_options_are_one_clear_error(arguments: list[str], message: str) -> None:
    with pytest.raises(GpEmqError, match=message):
        main([*LINE, *arguments])


def test_a_sweep_alone_has_no_plan_to_measure() -> None:
    with pytest.raises(AllocationError, match="give a budget, not --sweep alone"):
        main(["--proxy", "relative_error", "--sweep", "--measure", "5"])


def test_samples_that_choose_a_plan_neither_calibrate_nor_test(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    own = np.arange(40, dtype=np.float32)[:, None, None, None] * np.ones((1, 8, 8), np.float32)
    np.savez(path, x=own)
    inputs = load_inputs("digits", None, [path])

    def of(workload) -> set[float]:
        return {float(image[0, 0, 0]) for image in workload.samples}

    chosen = of(inputs.held_back(10, 12, seed=0))
    division = inputs.divided(10, None, 0, seen=22)
    assert len(chosen) == 12
    assert not chosen & of(inputs.calibration(10, 0))
    assert not chosen & of(division.test)
    assert of(division.calibration) == of(inputs.calibration(10, 0))
    assert len(division.test) == 18
    with pytest.raises(GpEmqError, match="all of which chose the plan"):
        inputs.divided(10, None, 0, seen=40)
    with pytest.raises(GpEmqError, match="none are left to compare plans on"):
        inputs.held_back(40, 8, seed=0)


def test_digits_are_distorted_and_halves_show_other_images() -> None:
    inputs = load_inputs("digits")
    found = inputs.held_back(256, 1024, seed=0)
    assert len(found) == 1024
    training = inputs.calibration(796, 0).samples
    assert not any(
        bool((training == image).all(dim=(1, 2, 3)).any()) for image in found.samples[:8]
    )
    again = inputs.held_back(256, 1024, seed=0)
    assert bool((again.samples == found.samples).all())
