"""Tables that cannot rank are refused, and rows that are odd are reported."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from synthetic import synthetic_layers
from torch import nn

import gp_emq
from gp_emq.allocate import main
from gp_emq.allocation import (
    CostSettings,
    Meter,
    Problem,
    allocate,
    format_plan,
    format_sweep,
    load_plan,
    make_budgets,
    proxy_baseline,
    save_plan,
    save_sweep,
    search_space,
    sweep,
)
from gp_emq.errors import AllocationError

BITS = (2, 3, 4)
LAYERS = synthetic_layers()
MANY = synthetic_layers((0, 1, 2, 3))
TABLE = np.array([[-9.0, -4.0, -1.0], [-6.0, -3.0, -2.0], [-5.0, -1.0, -0.5]])
ULP = 2.0**-52

chosen = partial(allocate, layers=LAYERS, bits=BITS, average_bits=4)


def flat(*rows: float) -> np.ndarray:
    return np.repeat(np.array(rows)[:, None], 3, axis=1)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.zeros((3, 3)), "the table cannot rank: the score is 0 at every width of every layer"),
        (np.full((3, 3), -7.5), r"the score is -7\.5 at every width of every layer"),
        (flat(-3.0, -2.0, 0.0), "the score is the same at all widths of every layer"),
        (1e16 + np.arange(9.0).reshape(3, 3), "the same at all widths|at every width"),
        (flat(-3.0, 1e9, 2e-9) * (1 + ULP * np.array([0.0, 5.0, 2.0])), "same at all widths"),
    ],
)
def test_flat_tables_are_refused(table: np.ndarray, message: str) -> None:
    with pytest.raises(AllocationError, match=message) as caught:
        chosen(table)
    assert "\n" not in str(caught.value)


def test_what_counts_is_what_may_be_chosen() -> None:
    table = flat(-3.0, -2.0, -1.0)
    table[0] = [-3.0, -2.0, -1.0]
    assert chosen(table).constant == ("layer1", "layer2")
    with pytest.raises(AllocationError, match="all widths of every layer that has a choice"):
        chosen(table, fix={"layer0": 3})
    with pytest.raises(AllocationError, match="all widths of every layer that has a choice"):
        chosen(table, choices={"layer0": (3,)})
    fixed = chosen(np.zeros((3, 3)), fix={"*": 3})
    assert set(fixed.widths.values()) == {3}


def test_constant_rows_take_the_cheapest_width_and_are_reported() -> None:
    table = TABLE.copy()
    table[1] = -6.0
    plan = chosen(table)
    assert plan.configuration == (4, 2, 4)
    assert (plan.constant, plan.not_rising) == (("layer1",), ())
    assert "the score of 1 of 3 entries is the same at all widths, so that they take the" in (
        format_plan(plan)
    )
    assert chosen(TABLE).constant == ()


@pytest.mark.parametrize("magnitude", [1e-9, 1.0, 1e9])
def test_rounding_beside_a_rows_magnitude_decides_nothing(magnitude: float) -> None:
    table = TABLE * magnitude
    table[1] = -6.0 * magnitude * (1 + ULP * np.array([8.0, 0.0, 3.0]))
    plan = chosen(table)
    assert plan.configuration == (4, 2, 4)
    assert (plan.constant, plan.not_rising) == (("layer1",), ())
    table[1] = -6.0 * magnitude * (1 + ULP * np.array([64.0, 32.0, 0.0]))
    assert chosen(table).configuration == (4, 4, 4)
    assert chosen(table).constant == ()


def test_rows_that_fall_are_reported_and_tables_that_do_are_refused() -> None:
    down = -TABLE
    plan = chosen(down)  # three rows of three fall by chance once in 216 times
    assert plan.not_rising == ("layer0", "layer1", "layer2")
    assert plan.configuration == (2, 2, 2)
    four = np.vstack([down, down[:1]])
    with pytest.raises(AllocationError, match="table is upside down: the score of every layer f"):
        chosen(four, layers=MANY)
    four[3, 2] = 20.0
    assert chosen(four, layers=MANY).not_rising == ("layer0", "layer1", "layer2", "layer3")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_named(value: float) -> None:
    table = TABLE.copy()
    table[1, 2] = value
    with pytest.raises(
        AllocationError, match=f"table must be finite, .* layer1 at 4 bits is {value}"
    ):
        chosen(table)
    table[1, 2] = 2e300
    with pytest.raises(AllocationError, match=r"below 1e\+300, .* layer1 at 4 bits is 2e\+300"):
        chosen(table)


def test_sweeps_report_the_same_and_baselines_say_why_they_have_no_answer(tmp_path) -> None:
    table = TABLE.copy()
    table[1] = -6.0
    table[2] = [-5.0, -7.0, -0.5]
    space = search_space(LAYERS, BITS)
    budgets = make_budgets(space, CostSettings(), average_bits=3)
    problem = Problem.of(table, space, budgets)
    front = sweep(problem, CostSettings(), "average-bits", 5)
    assert (front.constant, front.not_rising) == (("layer1",), ("layer2",))
    assert {point.configuration[1] for point in front.points} == {2}
    text = format_sweep(front)
    assert "same at all widths, so that they take the cheapest: layer1" in text
    assert "falls somewhere as bits rise: layer2" in text
    save_sweep(front, tmp_path / "sweep.json")
    assert json.loads((tmp_path / "sweep.json").read_text())["constant"] == ["layer1"]
    other = proxy_baseline("flat", np.ones((3, 3)), problem, Meter(space, CostSettings()))
    assert (other.bits, other.score) == ((), None)
    assert "the score is 1 at every width" in other.note
    with pytest.raises(AllocationError, match="cannot rank"):
        Problem.of(np.ones((3, 3)), space, ())


def test_plans_keep_what_they_report(tmp_path) -> None:
    table = TABLE.copy()
    table[1] = -6.0
    plan = chosen(table)
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    document = json.loads((tmp_path / "plan.json").read_text())
    del document["constant"], document["activation_bits"]
    (tmp_path / "old.json").write_text(json.dumps(document))
    old = load_plan(tmp_path / "old.json")
    assert (old.widths, old.constant, old.activation_bits) == (plan.widths, (), None)


class Deaf(nn.Module):
    """A network whose output no weight moves, so that gradients and Fisher are 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images) * 0.0


@pytest.mark.parametrize("name", ["fit", "snip", "loss_change", "gradient_norm"])
def test_no_plan_comes_of_gradients_that_are_zero(name: str) -> None:
    torch.manual_seed(0)
    statistics = gp_emq.collect_statistics(Deaf(), torch.randn(4, 3, 8, 8), bits=BITS)
    table = gp_emq.load_proxy(name).table(statistics)
    with pytest.raises(AllocationError, match=f"the table of {table.proxy} cannot rank: .* is 0 a"):
        allocate(table, average_bits=3)


def test_the_command_refuses_and_reports_alike(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--images", "64", "--average-bits", "3", "--baselines"]
    same = "multiply(quantization_mse, subtract(bits, bits))"
    for extra in (["none"], ["none", "--sweep"]):
        with pytest.raises(AllocationError, match="the table of expression cannot rank: the score"):
            main([*arguments, *extra, "--proxy", same])
    assert main([*arguments, "plain", "--proxy", "relative_error"]) == 0
    assert "plain: the table of plain is upside down" in capsys.readouterr().out
