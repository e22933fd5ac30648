"""A point of a sweep is the plan of the budget that it costs."""

import json
from pathlib import Path

import pytest

from gp_emq.allocate import main
from gp_emq.allocation import load_plan, load_sweep
from gp_emq.errors import GpEmqError

MADE = ["--proxy", "relative_error", "--images", "16", "--baselines", "uniform,random", "--no-plot"]
BUDGETS = {"size": "--size-mib", "average-bits": "--average-bits", "bops": "--bops-g"}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweeps")
    main([*MADE, "--sweep", "--out", str(folder / "plan.json")])
    return folder / "plan-sweep.json"


@pytest.mark.parametrize("axis", BUDGETS)
def test_it_is_byte_for_byte_the_plan_of_its_budget(axis: str, tmp_path: Path, capsys) -> None:
    picked, asked, again = (tmp_path / name for name in ("picked.json", "asked.json", "again.json"))
    main([*MADE, "--sweep", axis, "--pick", "5", "--out", str(picked)])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("5 "))
    sweep = load_sweep(tmp_path / "picked-sweep.json")
    point = sweep.points[4]
    plan = load_plan(picked)
    assert plan.configuration == point.configuration
    assert [int(width) for width in line.split()[4:]] == list(point.configuration)
    main([*MADE, BUDGETS[axis], repr(point.cost), "--out", str(asked)])
    assert picked.read_bytes() == asked.read_bytes()
    file = str(tmp_path / "picked-sweep.json")
    main([*MADE, "--from-sweep", file, "--pick", "5", "--out", str(again)])
    assert picked.read_bytes() == again.read_bytes()
    assert not (tmp_path / "again-sweep.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sweep", "--pick", "99"], r"the sweep has no point 99: its points are 1 to \d+"),
        (["--sweep", "--pick", "0"], "--pick: must be a whole number of at least 1"),
        (["--average-bits", "3", "--pick", "1"], "give --sweep or --from-sweep"),
        (["--sweep", "--pick", "1", "--average-bits", "3"], "takes its budget from the sweep"),
        (["--from-sweep", "x.json"], "--from-sweep needs --pick"),
        (["--sweep", "--from-sweep", "x.json", "--pick", "1"], "give one of them"),
        (["--from-sweep", "x.json", "--pick", "1"], "cannot read the sweep x.json"),
    ],
)
def test_points_that_are_none_are_refused(arguments, message: str) -> None:
    with pytest.raises(GpEmqError, match=message):
        main([*MADE, *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group", "layer1.*"], "has decisions for 14 layers from 'conv1', not for 11"),
        (["--images", "17"], "is of another table: its statistics is"),
        (["--accounting", "stored"], "give the accounting and activation bits"),
        # Among the same columns: a table of other widths would be another one.
        (["--choices", "*=2,3"], "has widths that may not be chosen here"),
    ],
)
def test_a_saved_sweep_of_something_else_is_refused(front: Path, arguments, message: str) -> None:
    last = len(json.loads(front.read_text())["points"])
    line = ["--from-sweep", str(front), "--pick", str(last)]
    with pytest.raises(GpEmqError, match=message):
        main([*MADE, *line, *arguments])


def test_a_saved_sweep_of_another_proxy_is_refused(front: Path) -> None:
    line = ["--from-sweep", str(front), "--pick", "1", "--proxy", "quantization_mse"]
    with pytest.raises(GpEmqError, match="is of another table: its"):
        main([*MADE[2:], *line])
