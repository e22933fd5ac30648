import itertools
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import synthetic_layers

from gp_emq.allocation import (
    CostSettings,
    CostTable,
    Meter,
    Problem,
    allocate,
    load_plan,
    make_budgets,
    random_baseline,
    save_plan,
    search_space,
    sweep,
    uniform_baseline,
)
from gp_emq.errors import AllocationError
from gp_emq.networks import size_table

LAYERS = synthetic_layers()
PARAMETERS = [
    sum(layer.parameters for layer in LAYERS if layer.entry == entry) for entry in range(3)
]
TABLE = np.array([[-9.0, -4.0, -1.0], [-6.0, -3.0, -2.0], [-5.0, -1.0, -0.5]])

chosen = partial(allocate, layers=LAYERS, bits=(2, 3, 4))


@settings(max_examples=30)
@given(
    values=st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    average=st.floats(2, 4),
    share=st.floats(0.5, 1),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_a_plan_is_the_best_of_all_configurations(values, average, share, scale) -> None:
    table = np.reshape(values, (3, 3)) * scale
    if all(len(set(row)) == 1 for row in table.tolist()):
        with pytest.raises(AllocationError, match="cannot rank"):
            chosen(table, average_bits=average)
        return
    macs = [sum(layer.macs for layer in LAYERS if layer.entry == e) for e in range(3)]
    bops = share * sum(macs) * 4 * 8 / 1e9
    allowed = [
        choice
        for choice in itertools.product((2, 3, 4), repeat=3)
        if np.dot(choice, PARAMETERS) <= average * sum(PARAMETERS) * (1 + 1e-9)
        and np.dot(choice, macs) * 8 / 1e9 <= bops * (1 + 1e-9)
    ]
    if not allowed:
        with pytest.raises(AllocationError, match=r"cannot be met|not together"):
            chosen(table, average_bits=average, bops_g=bops)
        return
    plan = chosen(table, average_bits=average, bops_g=bops)
    best = max(sum(table[e, width - 2] for e, width in enumerate(c)) for c in allowed)
    assert plan.configuration in allowed
    assert plan.score == pytest.approx(best, rel=1e-9, abs=1e-8 * scale)


def test_achieved_values_are_those_of_the_layers() -> None:
    plan = chosen(TABLE, average_bits=3.2, size_mib=1.0, bops_g=1.0)
    bits = {layer.name: plan.widths[layer.name] for layer in LAYERS}
    parameters = sum(layer.parameters for layer in LAYERS)
    weighted = sum(layer.parameters * bits[layer.name] for layer in LAYERS)
    achieved = {target.name: target.achieved for target in plan.targets}
    assert achieved["average bits"] == pytest.approx(weighted / parameters)
    assert achieved["size"] == pytest.approx(weighted / 8 / 2**20)
    assert achieved["BOPs"] == pytest.approx(
        sum(layer.macs * bits[layer.name] * 8 for layer in LAYERS) / 1e9
    )
    assert plan.score == pytest.approx(sum(item.score or 0.0 for item in plan.layers))


def test_tied_layers_take_one_width() -> None:
    plan = chosen(TABLE, average_bits=3)
    assert plan.widths["layer1"] == plan.widths["layer3"]


def test_megabytes_and_mebibytes_differ() -> None:
    size = size_table(LAYERS, (2, 3, 4))[:, 1].sum()
    assert chosen(TABLE, size_mb=size / 1e6).score == pytest.approx(
        chosen(TABLE, size_mib=size / 2**20).score
    )
    with pytest.raises(AllocationError):
        chosen(TABLE, size_mb=size_table(LAYERS, (2,)).sum() / 2**20)


def test_fixed_widths_hold_and_are_paid_for() -> None:
    plan = chosen(TABLE, size_mib=1.0, fix={"layer0": 8, "layer2": 2})
    assert (plan.widths["layer0"], plan.widths["layer2"]) == (8, 2)
    assert [item.decision for item in plan.layers] == ["fixed", "chosen", "fixed", "chosen"]
    assert plan.layers[0].score is None
    assert plan.layers[2].score == -5.0
    assert plan.measures.average_bits == pytest.approx(
        np.dot((8, 4, 2), PARAMETERS) / sum(PARAMETERS)
    )


def test_excluded_layers_stay_in_float_and_are_paid_for() -> None:
    plan = chosen(TABLE, average_bits=3, exclude=["layer[02]"])
    assert set(plan.widths) == {"layer1", "layer3"}
    assert plan.configuration[0] == plan.configuration[2] == 32
    assert plan.measures.average_bits == 3
    assert plan.measures.size_mib == pytest.approx(np.dot((32, 3, 32), PARAMETERS) / 8 / 2**20)


def test_the_last_pattern_counts() -> None:
    plan = chosen(TABLE, average_bits=8, fix={"*": 4, "layer0": 2})
    assert plan.configuration == (2, 4, 4)


def test_choices_hold_per_entry() -> None:
    plan = chosen(TABLE, average_bits=4, choices={"*": (2, 3), "layer2": (4,)})
    assert plan.configuration == (3, 3, 4)


def test_a_cost_of_ones_own_limits(tmp_path: Path) -> None:
    path = tmp_path / "latency.csv"
    rows = [(f"layer{n}", b, 1.0 if b < 4 else 10.0) for n in range(4) for b in (2, 3, 4)]
    path.write_text("layer,bits,cost\n" + "".join(f"{n},{b},{c}\n" for n, b, c in rows))
    plan = chosen(TABLE, costs=[CostTable.read(path, 13.0)])
    assert plan.configuration == (4, 3, 3)
    assert plan.targets[0].name == "latency"
    assert plan.targets[0].achieved == 13.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layer,bits\n", "must start with the line"),
        ("layer,bits,cost\nlayer0,2\n", "line 2"),
        ("layer,bits,cost\nlayer0,2,nan\n", "not finite"),
        ("layer,bits,cost\nlayer0,2,1\nlayer0,2,1\n", "comes twice"),
        ("layer,bits,cost\nlayer0,2,1\n", "no cost of layer 'layer0' at 3 bits"),
    ],
)
def test_damaged_costs_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(AllocationError, match=message):
        chosen(TABLE, costs=[CostTable.read(path, 5.0)])


def test_costs_that_are_no_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text("layer,bits,cost\n" + "x" * 200_000 + ",2,1\n")
    with pytest.raises(AllocationError, match=r"cannot read the costs .*field limit"):
        CostTable.read(path, 5.0)


def test_a_budget_is_named_in_full() -> None:
    with pytest.raises(AllocationError, match=r"1\.9999999 for .* the least possible is 2\.0000"):
        chosen(TABLE, average_bits=1.9999999)


def test_what_stays_in_float_needs_a_cost_of_its_own() -> None:
    costs = {(f"layer{n}", b): float(b) for n in range(4) for b in (2, 3, 4)}
    with pytest.raises(AllocationError, match=r"layer 'layer0' at 32 bits \(it stays in float\)"):
        chosen(TABLE, costs=[CostTable(costs, 50)], exclude=["layer0"])
    costs["layer0", 32] = 40.0
    plan = chosen(TABLE, costs=[CostTable(costs, 50)], exclude=["layer0"])
    assert plan.configuration == (32, 3, 4)
    assert plan.targets[0].achieved == 40 + 2 * 3 + 4


@pytest.mark.parametrize("value", [math.nan, math.inf, "fast", None])
def test_costs_must_be_finite_numbers(value) -> None:
    with pytest.raises(AllocationError, match="latency of layer 'layer0' at 2 bits must be a fin"):
        CostTable({("layer0", 2): value}, 5.0, "latency")


@pytest.mark.parametrize("bits", [0, -8, 16, 2.5])
def test_activation_bits_must_be_ones_that_there_are(bits) -> None:
    with pytest.raises(AllocationError, match="activation bits must be 2 to 8, or 32"):
        CostSettings(activation_bits=bits)


def test_numbers_of_numpy_may_be_given_and_saved(tmp_path: Path) -> None:
    plan = chosen(
        TABLE,
        bits=np.array([2, 3, 4]),
        average_bits=np.float32(8.0),
        fix={"layer0": np.int64(8)},
        choices={"layer2": np.array([2, 4])},
    )
    save_plan(plan, tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    assert plan.configuration == (8, 4, 4)


def test_the_nearest_feasible_value_is_feasible() -> None:
    with pytest.raises(AllocationError, match=r"1\.5 for average bits cannot be met") as caught:
        chosen(TABLE, average_bits=1.5, size_mib=5.0, fix={"layer0": 3})
    assert "size" not in str(caught.value)
    nearest = float(str(caught.value).rpartition(" is ")[2])
    plan = chosen(TABLE, average_bits=nearest, fix={"layer0": 3})
    assert plan.configuration == (3, 2, 2)


def test_budgets_that_hold_only_one_by_one_are_named() -> None:
    slow_at_low_bits = {(f"layer{n}", b): 10.0 - 2 * b for n in range(4) for b in (2, 3, 4)}
    with pytest.raises(AllocationError, match=r"not together; .*average bits needs at least 4"):
        allocate(
            TABLE,
            LAYERS,
            bits=(2, 3, 4),
            average_bits=2.5,
            costs=[CostTable(slow_at_low_bits, 8.0)],
        )


def test_rows_that_do_not_rise_are_reported() -> None:
    table = TABLE.copy()
    table[1] = [-1.0, -3.0, -2.0]
    assert chosen(table, average_bits=4).not_rising == ("layer1",)
    assert chosen(table, average_bits=4).configuration == (4, 2, 4)
    assert chosen(TABLE, average_bits=4).not_rising == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no budget"),
        ({"average_bits": -1.0}, "positive number"),
        ({"average_bits": "3"}, "positive number, not '3'"),
        ({"average_bits": math.nan}, "positive number, not nan"),
        ({"average_bits": 3, "bits": (2, 3)}, r"shape \(3, 3\).*2 bit choices"),
        ({"average_bits": 3, "bits": (3, 2, 4)}, "must rise"),
        ({"average_bits": 3, "bits": (2, 3, 16)}, "2 to 8 bits, not 16"),
        ({"average_bits": 3, "fix": {"conv9": 4}}, "'conv9' matches no layer; there are layer0"),
        ({"average_bits": 3, "bits": (2, 2.5, 4)}, "must be whole numbers"),
        ({"average_bits": 3, "fix": {"layer0": 1}}, "2 to 8 bits, not 1"),
        ({"average_bits": 3, "fix": {"layer0": 4.5}}, r"2 to 8 bits, not 4\.5"),
        ({"average_bits": 3, "fix": ["layer0"]}, "must be by pattern"),
        ({"average_bits": 3, "exclude": "layer0"}, r"list of patterns, like \['layer0'\]"),
        ({"average_bits": 3, "choices": {"layer0": 3}}, "among the bits 2, 3, 4, not 3"),
        ({"average_bits": 3, "exclude": ["*"]}, "every layer is excluded"),
        ({"average_bits": 3, "choices": {"layer0": (5,)}}, "among the bits 2, 3, 4"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message: str) -> None:
    with pytest.raises(AllocationError, match=message):
        chosen(TABLE, **options)


def test_a_table_must_be_finite_where_it_counts() -> None:
    table = TABLE.copy()
    table[0, 0] = np.nan
    with pytest.raises(AllocationError, match="layer0 at 2 bits is nan"):
        chosen(table, average_bits=4)
    assert chosen(table, average_bits=4, choices={"layer0": (3, 4)}).score == -3.5


def problem_within(**limits: float) -> Problem:
    space = search_space(LAYERS, (2, 3, 4))
    return Problem.of(TABLE, space, make_budgets(space, CostSettings(), **limits))


def test_baselines_keep_the_budget_and_lose_to_the_plan() -> None:
    problem = problem_within(average_bits=3.4)
    meter = Meter(problem.space, CostSettings())
    best = chosen(TABLE, average_bits=3.4).score
    uniform, drawn = uniform_baseline(problem, meter), random_baseline(problem, meter)
    assert uniform.bits == (3, 3, 3, 3)
    assert uniform.score == -8.0
    for baseline in (uniform, drawn):
        assert baseline.measures is not None
        assert baseline.score is not None
        assert baseline.measures.average_bits <= 3.4 * (1 + 1e-9)
        assert baseline.score <= best
    assert drawn == random_baseline(problem, meter)


def test_a_sweep_goes_from_all_low_to_all_high_and_rises() -> None:
    front = sweep(problem_within(), CostSettings(), "average-bits", points=12).points
    assert front[0].configuration == (2, 2, 2)
    assert front[-1].configuration == (4, 4, 4)
    assert all(a.cost < b.cost and a.score < b.score for a, b in itertools.pairwise(front))
    for point in front:
        assert chosen(TABLE, average_bits=point.cost).score == pytest.approx(point.score)
