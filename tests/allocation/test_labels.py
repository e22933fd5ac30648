"""A plan is of the layers and widths that its table is of, and nothing is guessed."""

import numpy as np
import pytest
from synthetic import BITS, synthetic_layers

from gp_emq.allocation import (
    CostSettings,
    Meter,
    Problem,
    allocate,
    draw_within,
    load_plan,
    make_budgets,
    proxy_baseline,
    save_plan,
    search_space,
    sweep,
)
from gp_emq.errors import AllocationError, DataError
from gp_emq.networks import load_inputs
from gp_emq.proxies import SensitivityTable

LAYERS = synthetic_layers()
OTHERS = synthetic_layers((0, 1, 2, 3))
VALUES = [[-9.0, -4.0, -1.0], [-6.0, -3.0, -2.0], [-5.0, -1.0, -0.5]]


def made(values=VALUES, bits=BITS) -> SensitivityTable:
    return SensitivityTable(
        values, bits=bits, layers=LAYERS, proxy="fit", formula="−F·ΔW²", statistics="0" * 64
    )


def test_a_table_is_all_that_allocate_needs() -> None:
    plan = allocate(made(), average_bits=3)
    assert plan == allocate(made(), LAYERS, bits=BITS, average_bits=3)
    plain = allocate(VALUES, LAYERS, bits=BITS, average_bits=3)
    assert plain.widths == plan.widths
    assert plain.provenance == {}
    assert plan.provenance == {"proxy": "fit", "formula": "−F·ΔW²", "statistics": "0" * 64}


def test_the_widths_are_those_of_the_columns() -> None:
    plan = allocate(made(bits=(3, 5, 8)), average_bits=8)
    assert plan.bits == (3, 5, 8)
    assert set(plan.widths.values()) == {8}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (np.array(VALUES), {"layers": LAYERS}, r"which bits it is of.*give bits=\(2, 3, 4\)"),
        (VALUES, {"bits": BITS}, "which layers it is of"),
        (VALUES, {}, "give bits"),
        (-made(), {"layers": LAYERS}, "which bits it is of"),
        (made()[:, :2], {"layers": LAYERS}, "which bits it is of"),
        (made(), {"bits": (2, 3)}, r"are the widths 2, 3, 4, not 2, 3; choices=\{'\*'"),
        (made(), {"bits": (2, 3, 5)}, "are the widths 2, 3, 4, not 2, 3, 5"),
        (made(), {"layers": OTHERS}, "'layer3' .* in entry 1 where .* 'layer3' .* in entry 3"),
        (made(), {"layers": LAYERS[:2]}, "of 4 layers, from 'layer0' to 'layer3', not of 2"),
        (made(), {"layers": LAYERS[::-1]}, "it has Conv2d 'layer0'.* where .* 'layer3'"),
    ],
)
def test_what_is_missing_or_contradicts_is_refused(table, options, message: str) -> None:
    with pytest.raises(AllocationError, match=message) as caught:
        allocate(table, average_bits=3, **options)
    assert "\n" not in str(caught.value)


def test_problems_sweeps_and_baselines_check_them_too() -> None:
    space = search_space(LAYERS, (2, 3, 5))
    budgets = make_budgets(space, CostSettings(), average_bits=3)
    with pytest.raises(AllocationError, match="are the widths 2, 3, 4, not 2, 3, 5"):
        Problem.of(made(), space, budgets)
    problem = Problem.of(made(bits=(2, 3, 5)), space, budgets)
    other = proxy_baseline("other", made(), problem, Meter(space, CostSettings()))
    assert other.bits == ()
    assert "are the widths 2, 3, 4, not 2, 3, 5" in other.note
    front = sweep(problem, CostSettings(), "average-bits", 3)
    assert front.points[-1].configuration == (5, 5, 5)
    assert front.entries == ("layer0", "layer1", "layer2")
    assert front.provenance["proxy"] == "fit"


def test_seeds_that_are_none_are_refused() -> None:
    problem = Problem.of(made(), search_space(LAYERS, BITS), ())
    with pytest.raises(AllocationError, match="seed must be at least 0, not -1"):
        draw_within(problem, 3, -1)
    with pytest.raises(DataError, match="seed must be at least 0, not -1"):
        load_inputs("digits").calibration(8, -1)


def test_a_plan_knows_what_it_is_of_after_its_file_too(tmp_path) -> None:
    settings = CostSettings(activation_bits=4)
    plan = allocate(made(), average_bits=3, settings=settings)
    save_plan(plan, tmp_path / "plan.json")
    again = load_plan(tmp_path / "plan.json")
    assert again == plan
    assert again.activation_bits == 4
    assert tuple(item.layer for item in again.layers) == LAYERS
    assert again.provenance["proxy"] == "fit"
