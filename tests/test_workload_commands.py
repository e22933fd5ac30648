"""The commands on a workload: plan, quantized network, and its metric beside the float one's."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from own_workloads import SAMPLES, regression
from scipy import stats

from gp_emq.allocate import main as allocate
from gp_emq.allocation import load_plan
from gp_emq.command import exit_status
from gp_emq.errors import StatisticsError
from gp_emq.export import load_quantized
from gp_emq.quantize import main as quantize

NAME = "own_workloads:regression"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "plan.json"
    allocate(["--workload", NAME, "--proxy", "fit", "--average-bits", "3", "--bits", "2,3,8",
              "--baselines", "uniform", "--no-plot", "--no-cache", "--out", str(path)])  # fmt: skip
    return path


def test_the_metric_is_that_of_the_saved_network(plan: Path, capsys) -> None:
    arguments = ["--plan", str(plan), "--workload", NAME, "--images", "8", "--no-cache"]
    assert quantize([*arguments, "--method", "rtn", "rtn+bn", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["higher_is_better"]) == ("squared error", False)
    assert (found["calibration_images"], found["test_images"]) == (8, SAMPLES - 8)
    assert load_plan(plan).provenance["network"] == NAME
    workload = regression()
    chosen = np.sort(np.random.default_rng((0, 0)).permutation(SAMPLES)[8:])
    errors = {}
    for name, network in {
        "float": workload.model,
        **{
            result["method"]: load_quantized(result["file"], workload.model)
            for result in found["methods"]
        },
    }.items():
        with torch.no_grad():
            outputs = network(workload.samples[chosen])
        errors[name] = (outputs - workload.targets[chosen]).square().mean(dim=1).double().numpy()
    assert found["float"]["value"] == pytest.approx(errors["float"].mean(), rel=1e-5)
    for result in found["methods"]:
        after = errors[result["method"]]
        assert result["accuracy"]["value"] == pytest.approx(after.mean(), rel=1e-5)
        reach = stats.norm.ppf(0.975) * stats.sem(after)
        assert result["accuracy"]["high"] == pytest.approx(after.mean() + reach, rel=1e-5)
        change = after - errors["float"]
        assert result["change"]["value"] == pytest.approx(change.mean(), rel=1e-4)
        assert result["change"]["low"] == pytest.approx(
            change.mean() - stats.norm.ppf(0.975) * stats.sem(change), rel=1e-4
        )


def test_the_table_tells_metric_and_direction(plan: Path, capsys) -> None:
    asked = ["--plan", str(plan), "--workload", NAME, "--images", "8", "--no-cache"]
    assert quantize(asked) == 0
    text = capsys.readouterr().out
    assert "16 test samples; 8 calibration samples" in text
    assert "squared error" in text
    assert "%" not in text.replace("95 % interval", "")
    assert "note: the lower the squared error, the better" in text
    # One number of all samples has no interval.
    worst = [*asked[:3], "own_workloads:worst", *asked[4:], "--format", "json"]
    assert quantize(worst) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["metric"], found["float"]["low"]) == ("worst error", None)
    assert "the plan was made for own_workloads:regression" in found["notes"]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (allocate, "--workload own_workloads:regression --network digits", "give it alone"),
        (allocate, "--workload own_workloads:regression --data x.npz", "give no data, not x.npz"),
        (allocate, "--workload own_workloads:failing", "fails: RuntimeError: no"),
        (quantize, "--workload own_workloads:regression --network digits", "without them"),
        (quantize, "--workload own_workloads:regression --method qat", "python -m gp_emq.qat"),
        (quantize, "--workload own_workloads:wide", "has a weight of shape (8, 5)"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    command, arguments: str, message: str, plan: Path, capsys
) -> None:
    more = ["--proxy", "fit", "--average-bits", "3"] if command is allocate else []
    more += ["--plan", str(plan)] if command is quantize else []
    assert exit_status(lambda: command([*arguments.split(), *more, "--no-cache"])) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_plan_of_a_workload_runs_no_code(plan: Path, capsys) -> None:
    assert exit_status(lambda: quantize(["--plan", str(plan)])) == 2
    assert "no file may name code that runs" in capsys.readouterr().err


@pytest.mark.parametrize("proxy", [[], ["--proxy", "relative_output_error"]], ids=["race", "one"])
def test_what_a_network_cannot_be_compared_with_is_left_out(proxy: list[str], capsys) -> None:
    """No gradient of it is right, and plans are compared with those of proxies that need some."""
    asked = ["--workload", "own_workloads:hidden", "--average-bits", "4", "--bits", "2,4,8"]
    assert allocate([*asked, *proxy, "--no-plot", "--no-cache"]) == 0
    said = capsys.readouterr()
    assert "average bits" in said.out
    left_out = "fit_diagonal" if not proxy else "fit"
    assert re.search(rf"note: not compared with .*{left_out}.*: .* hidden from autograd", said.err)
    with pytest.raises(StatisticsError, match="hidden from autograd"):
        allocate([*asked, *proxy, "--baselines", "fit", "--no-plot", "--no-cache"])
