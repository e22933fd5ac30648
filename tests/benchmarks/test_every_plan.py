"""Every plan near one that a search found, and what the best of them comes to."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import every_plan
from gp_emq.allocation import CostSettings, Problem, make_budgets, search_space
from gp_emq.errors import RunError
from gp_emq.networks import Layer

BITS = (2, 3, 4)


def problem_of(sizes: tuple[int, ...], average_bits: float) -> Problem:
    layers = tuple(
        Layer(f"l{place}", "Linear", (size, 1), size, 0, size, place, place)
        for place, size in enumerate(sizes)
    )
    space = search_space(layers, BITS)
    table = -np.outer(np.ones(len(sizes)), [3.0, 2.0, 1.0])
    return Problem.of(table, space, make_budgets(space, CostSettings(), average_bits=average_bits))


@pytest.mark.parametrize("layers", [0, 1, 2, 4, 9])
def test_near_a_plan_are_those_that_differ_in_few_layers_and_keep_the_budget(layers: int) -> None:
    sizes, plan = (10, 20, 30, 40), (3, 3, 3, 2)
    found = list(every_plan.near(problem_of(sizes, 3.0), plan, layers))
    expected = {
        other
        for other in itertools.product(BITS, repeat=4)
        if sum(size * width for size, width in zip(sizes, other, strict=True)) <= 3 * sum(sizes)
        and sum(one != two for one, two in zip(other, plan, strict=True)) <= layers
    }
    assert found[0] == plan
    assert len(found) == len(expected)
    assert set(found) == expected


def test_more_plans_than_can_be_measured_are_refused() -> None:
    problem = problem_of((1,) * 20, 3.0)
    with pytest.raises(RunError, match="3,486,784,401 plans are more than the 20,000"):
        next(every_plan.near(problem, (3,) * 20, 20))


@pytest.mark.slow
def test_a_row_has_what_the_search_and_the_best_of_all_change_on_test_images(
    tmp_path: Path, capsys
) -> None:
    rows = tmp_path / "rows.jsonl"
    arguments = [
        "--rows", str(rows), "--only", "plain-digits", "--sizes", "0.75", "--layers", "2",
        "--measure", "4", "--tests", "200",
    ]  # fmt: skip
    assert every_plan.main(arguments) == 0
    *_, line = capsys.readouterr().out.splitlines()
    (row,) = map(json.loads, rows.read_text().splitlines())
    assert line.startswith(f"| plain-digits (search) | 0.75 | {row['searched']} | 2 | ")
    assert 1 < row["plans"] <= 1 + 8 * 2 + 28 * 4
    changes = [row[name]["loss_change"]["value"] for name in ("found", "best", "beyond")]
    assert changes[1] - changes[0] == pytest.approx(changes[2])
    assert every_plan.main(arguments) == 0  # from the rows
    assert capsys.readouterr().out.splitlines()[-1] == line
