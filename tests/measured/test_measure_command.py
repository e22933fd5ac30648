import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

import gp_emq
from gp_emq.allocate import main
from gp_emq.allocation import (
    CostSettings,
    Problem,
    load_plan,
    make_budgets,
    search_space,
    solve,
)
from gp_emq.command import exit_status
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.export import save_quantized
from gp_emq.measured._calibration import calibrate
from gp_emq.measured._network import MeasuringSettings, PlanNetwork
from gp_emq.networks import Granularity, load_inputs
from gp_emq.ptq import QuantizationSettings
from gp_emq.quantization import WeightQuantizer

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
    names = ["ompq", "relative_error", "fit_trace"]
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
    # Nothing that lost is better on as many images of the race.
    found = _raced(plan.provenance["raced"])
    assert {name for name, _, _ in found} == {*names}
    most = max(images for _, _, images in found)
    losses = {name: loss for name, loss, images in found if images == most}
    assert min(losses, key=losses.__getitem__) == plan.provenance["proxy"]


def _raced(said: str) -> list[tuple[str, float, int]]:
    """Give what each lost, and on how many images; those that planned the same stand together."""
    found = re.findall(r"(?:, |: )([\w ]+?(?: = [\w ]+)*) ([\d.e-]+) on (\d+)", said)
    return [
        (name, float(loss), int(images))
        for names, loss, images in found
        for name in names.split(" = ")
        if name != "one width"
    ]


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
    narrow = ["--fix", "*=2", "--max-drop", "0.001", "--measure-method", "rtn"]
    assert exit_status(lambda: main([*LINE, *narrow])) == 3
    text = capsys.readouterr().out
    assert "verdict: REGRESSION: top-1 lost" in text
    assert "--measure 100 looks for a better one, --measure-method adaround+bn-correction" in text
    assert exit_status(lambda: main([*LINE, *narrow, "--measure", "1"])) == 3
    assert "looks for a better one" not in capsys.readouterr().out
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
        (["--measure", "5", "--measure-images", "8"], "at least 32 samples"),
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


def test_plans_with_groups_lose_and_weigh_what_quantize_makes_of_them(tmp_path) -> None:
    out, file = tmp_path / "plan.json", tmp_path / "small.safetensors"
    line = [*LINE[:-2], "--scale-group", "16", "--size-bytes", "27500", "--out", str(out)]
    assert main([*line, "--measure", "4", "--calibrate", "4"]) == 0
    plan = load_plan(out)
    assert plan.scale_group == 16
    assert {"calibrated", "measured"} <= plan.provenance.keys()
    certificate = json.loads((tmp_path / "plan-certificate.json").read_text())
    inputs = load_inputs("digits")
    calibration = inputs.calibration(32, 0)
    # The first half was searched on; the second confirms.
    confirming = inputs.held_back(32, 64, 0).part(slice(32, 64))

    def lost(quantized) -> float:
        with torch.no_grad():
            before, after = (
                log_softmax(network(confirming.samples).double().numpy(), axis=1)
                for network in (confirming.model, quantized)
            )
        return float((np.exp(before) * (before - after)).sum(axis=1).mean())

    names = [found["name"] for found in certificate["lines"]]
    assert names[0] == "float"
    assert names[-1] == "plan"
    assert certificate["method"] == "rtn+bn-correction"
    for found in certificate["lines"][1:]:
        # Tied layers there are none: every entry is a layer.
        widths = dict(zip(plan.widths, found["widths"], strict=True))
        small = gp_emq.quantize(calibration, plan if found["name"] == "plan" else widths,
                                quantizer=WeightQuantizer.of(plan.granularity),
                                method=certificate["method"])  # fmt: skip
        assert found["loss"]["value"] == pytest.approx(lost(small), rel=1e-3)
        right = confirming.of(small).measured(batch=32).double().mean()
        assert found["metric"]["value"] == pytest.approx(float(right))
    assert widths == plan.widths
    by_channel = gp_emq.quantize(calibration, widths, method="rtn")
    assert lost(by_channel) != pytest.approx(found["loss"]["value"], rel=0.05)
    (size,) = (target.achieved for target in plan.targets)
    save_quantized(gp_emq.quantize(calibration, plan, method="rtn"), file, method="rtn", plan=plan)
    content = file.read_bytes()
    assert len(content) - 8 - int.from_bytes(content[:8], "little") == size <= 27500


def test_a_table_of_groups_is_calibrated_by_plans_with_groups() -> None:
    inputs = load_inputs("digits")
    calibration, held_back = inputs.calibration(32, 0), inputs.held_back(32, 64, 0)
    layers, scale = inputs.network.layers, Granularity(per_channel=True, group=16)
    quantizer = WeightQuantizer.of(scale)
    statistics = gp_emq.collect_statistics(calibration, bits=(2, 3, 4), quantizer=quantizer)
    table = gp_emq.load_proxy("relative_error").table(statistics)
    costs = CostSettings(granularity=scale)
    space = search_space(layers, (2, 3, 4))
    budgets = make_budgets(space, costs, size_bytes=26000)
    problem = Problem.of(table, space, budgets)
    network = PlanNetwork(
        calibration, held_back, space,
        MeasuringSettings(quantization=QuantizationSettings(quantizer)),
    )  # fmt: skip
    start = solve(problem, costs).configuration
    found = calibrate(problem, start, network, plans=6)
    assert found.tried == solve(found.problem, costs).configuration
    before = network.answers(start, 32).losses.mean()
    names = [layer.name for layer in layers]
    for measurement in (found.measured[0], found.measured[-1]):
        plan = dict(zip(names, measurement.configuration, strict=True))
        weight = sum(
            math.ceil(width * math.prod(layer.weight_shape) / 8)
            for layer, width in zip(layers, plan.values(), strict=True)
        )
        assert weight + 4 * sum(scale.scales(layer.weight_shape) for layer in layers) < 26000
        small = gp_emq.quantize(calibration, plan, quantizer=quantizer, method="rtn")
        with torch.no_grad():
            one, other = (
                log_softmax(of(held_back.samples[:32]).double().numpy(), axis=1)
                for of in (held_back.model, small)
            )
        loss = float((np.exp(one) * (one - other)).sum(axis=1).mean())
        assert measurement.difference == pytest.approx(loss - before, rel=1e-3, abs=1e-6)
