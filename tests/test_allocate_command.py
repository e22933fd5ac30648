import json
import subprocess
import sys
from pathlib import Path

import pytest

from gp_emq.allocate import main
from gp_emq.allocation import load_plan, save_plan
from gp_emq.errors import AllocationError, GpEmqError
from gp_emq.networks import load_network

CHEAP = ["--images", "32", "--baselines", "uniform,random,sum_of_bits"]
PROXY = ["--proxy", "relative_error"]


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*CHEAP, *PROXY, *arguments]) == 0
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    path = folder / "plan.json"
    main([*CHEAP, *PROXY, "--average-bits", "3", "--fix", "conv1=8", "--sweep", "average-bits",
          "--out", str(path)])  # fmt: skip
    return path


def test_a_plan_comes_back_from_its_file(written: Path) -> None:
    plan = load_plan(written)
    assert plan.widths["conv1"] == 8
    assert plan.measures.average_bits <= 3
    assert [layer.layer for layer in plan.layers] == list(load_network("digits").layers)
    assert [baseline.name for baseline in plan.baselines] == ["uniform", "random", "sum_of_bits"]
    assert plan.provenance["proxy"] == "relative_error"
    scores = [baseline.score for baseline in plan.baselines if baseline.score is not None]
    assert max(scores) <= plan.score


def test_equal_plans_are_equal_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    save_plan(load_plan(written), again)
    assert again.read_bytes() == written.read_bytes()
    arguments = ["--average-bits", "3", "--fix", "conv1=8", "--no-plot", "--out", str(again)]
    main([*CHEAP, *PROXY, *arguments])
    assert again.read_bytes() == written.read_bytes()


def test_figures_and_sweep_lie_beside_the_plan(written: Path) -> None:
    names = {path.name for path in written.parent.iterdir()}
    assert names == {
        "plan.json", "plan-sweep.json", "plan-bits.png", "plan-bits.svg", "plan-pareto.png",
        "plan-pareto.svg",
    }  # fmt: skip
    sweep = json.loads((written.parent / "plan-sweep.json").read_text())
    assert sweep["entries"][0] == "conv1"
    assert {len(point["configuration"]) for point in sweep["points"]} == {len(sweep["entries"])}
    assert (sweep["provenance"]["network"], sweep["provenance"]["proxy"]) == (
        "digits",
        "relative_error",
    )
    costs = [point["cost"] for point in sweep["points"]]
    assert costs == sorted(costs)
    assert "relative_error" in (written.parent / "plan-bits.svg").read_text()


def test_the_table_shows_layers_budgets_and_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "--average-bits", "3.2", "--bops-g", "1", "--exclude", "linear")
    lines = text.splitlines()
    assert lines[0].startswith("plan for digits, by relative_error")
    assert any(line.split()[:3] == ["average", "bits", "3.2"] for line in lines)
    head = next(line for line in lines if line.startswith("layer "))
    assert head.split()[-4:] == ["plan", "uniform", "random", "sum_of_bits"]
    assert "float" in next(line for line in lines if line.startswith("linear"))


def test_an_expression_and_other_choices(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*CHEAP, "--proxy", "negate(quantization_mse)", "--average-bits", "4"]
    assert main([*arguments, "--bits", "2,4", "--choices", "linear=3,8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    widths = {line.split()[0]: line.split()[4] for line in lines if line.startswith("l")}
    assert widths.pop("linear") in {"3", "8"}
    assert {width for name, width in widths.items() if name != "layer"} <= {"2", "4"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no budget"),
        (["--average-bits", "1"], r"average bits cannot be met: the least possible is 2\.0000"),
        (["--average-bits", "no"], "positive number"),
        (["--size-mib", "1", "--fix", "conv9=8"], "'conv9' matches no layer"),
        (["--size-mib", "1", "--fix", "conv1"], "must be like conv1=8"),
        (["--size-mib", "1", "--network", "none"], "unknown network 'none'"),
        (["--size-mib", "1", "--cost", "missing.csv"], "needs its --cost-budget"),
        (["--size-mib", "1", "--seed", "-1"], "whole number of at least 0"),
        (["--size-mib", "1", "--activation-bits", "64"], "activation bits must be 2 to 8, or 32"),
        (["--size-mib", "1", "--baselines", "hawk"], "no proxy 'hawk'"),
        (["--size-mib", "1", "--out", "missing/plan.json"], "there is no folder missing"),
        (["--size-mib", "1", "--data", "missing.npz"], "does not read as images"),
    ],
)
def test_bad_input_is_one_clear_error(arguments: list[str], message: str) -> None:
    with pytest.raises(GpEmqError, match=message) as caught:
        main([*CHEAP, *PROXY, *arguments])
    assert "\n" not in str(caught.value)


def test_unknown_proxies_are_named_with_what_there_is() -> None:
    with pytest.raises(GpEmqError, match=r"no proxy 'fti': did you mean 'fit'.*run.*expression"):
        main(["--proxy", "fti", "--average-bits", "3"])


@pytest.mark.slow
def test_a_users_error_ends_with_one_line_and_status_2() -> None:
    command = [sys.executable, "-m", "gp_emq.allocate", "--proxy", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_the_function_may_be_called_beside_the_command() -> None:
    import gp_emq.allocate

    layers = load_network("digits").layers
    table = [[-3.0, -2.0, -1.0]] * len(layers)
    assert callable(gp_emq.allocate)
    assert set(gp_emq.allocate(table, layers, bits=(2, 3, 4), average_bits=4).widths.values()) == {
        4
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plan: plan.pop("layers"), "it lacks 'layers'"),
        (lambda plan: plan.update(format=9), "has format 9; this version reads format 1"),
        (lambda plan: plan["layers"][0].update(bits=20), "layer 0 has 20 bits"),
        (lambda plan: plan["layers"][0].update(decision="asked"), "decision is 'asked'"),
        (lambda plan: plan["layers"][1]["layer"].update(entry=7), "tied to it have|must cover"),
        (
            lambda plan: plan["layers"][1]["layer"].update(macs="many"),
            r"layers\[1\]\.layer\.macs is 'many', not a whole number",
        ),
        (lambda plan: plan.update(score=None), "score is None, not a number"),
        (lambda plan: plan["baselines"][0].update(bits=[3]), "needs 14 widths"),
        (
            lambda plan: [layer.update(bits=8) for layer in plan["layers"]],
            r"come to 8 bits on average, and the plan says [0-9.]+: it was changed .*--fix",
        ),
        (
            lambda plan: plan["measures"].update(average_bits=2.5),
            "and the plan says 2.5: it was changed",
        ),
    ],
)
def test_damaged_plans_are_refused(written: Path, tmp_path: Path, change, message: str) -> None:
    document = json.loads(written.read_text())
    change(document)
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(document))
    with pytest.raises(AllocationError, match=message):
        load_plan(path)


def test_missing_and_unreadable_plans_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AllocationError, match="cannot read the plan"):
        load_plan(tmp_path / "none.json")
    (tmp_path / "text.json").write_text("no")
    with pytest.raises(AllocationError, match="is no JSON"):
        load_plan(tmp_path / "text.json")
