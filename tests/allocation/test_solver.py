import itertools
import math
import os
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import milp

from gp_emq.allocation._quiet import quiet_output
from gp_emq.allocation._solver import maximise, within


@st.composite
def problems(draw: st.DrawFn):
    """Scores, costs and limits of a few groups of a few options."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    magnitude = draw(st.sampled_from([1e-9, 1e-6, 1.0, 1e6, 1e12]))
    score = st.floats(-1, 1).map(lambda value: value * magnitude)
    offset = draw(st.sampled_from([0.0, 1.0, -100.0])) * magnitude
    scores = [[offset + draw(score) for _ in range(size)] for size in sizes]
    kinds = draw(st.integers(0, 2))
    cost = draw(st.sampled_from([st.integers(0, 9).map(float), st.floats(0.01, 1e7)]))
    costs = [[[draw(cost) for _ in range(size)] for size in sizes] for _ in range(kinds)]
    limits = [
        draw(st.floats(0.1, 1.0)) * math.fsum(max(row) for row in rows) + 1e-3 for rows in costs
    ]
    return scores, costs, limits


def brute_force(scores, costs, limits):
    best = None
    for choice in itertools.product(*(range(len(row)) for row in scores)):
        spent = [
            math.fsum(row[option] for row, option in zip(rows, choice, strict=True))
            for rows in costs
        ]
        if all(within(total, limit) for total, limit in zip(spent, limits, strict=True)):
            score = math.fsum(row[option] for row, option in zip(scores, choice, strict=True))
            best = score if best is None else max(best, score)
    return best


@settings(max_examples=120)
@given(problem=problems())
def test_no_choice_within_the_limits_scores_higher(problem) -> None:
    scores, costs, limits = problem
    found, expected = maximise(scores, costs, limits), brute_force(scores, costs, limits)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.gap == 0
    for rows, limit in zip(costs, limits, strict=True):
        total = math.fsum(row[option] for row, option in zip(rows, found.choices, strict=True))
        assert within(total, limit)
    score = math.fsum(row[option] for row, option in zip(scores, found.choices, strict=True))
    spread = math.fsum(max(row) - min(row) for row in scores)
    assert score >= expected - 1e-8 * spread


@pytest.mark.parametrize("magnitude", [1e-300, 1e-12, 1e-6, 1.0, 1e9, 1e290])
def test_the_optimum_does_not_depend_on_the_unit_of_the_scores(magnitude: float) -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((12, 3)) * [1.0, 2.0, 3.0]
    costs = np.outer(rng.integers(1, 50, 12), [2.0, 3.0, 4.0])
    limit = 0.7 * costs[:, 2].sum()
    plain = maximise(scores.tolist(), [costs.tolist()], [limit])
    other = maximise((scores * magnitude).tolist(), [costs.tolist()], [limit])
    assert plain is not None
    assert other is not None
    assert plain.choices == other.choices


def test_small_differences_beside_one_huge_score_still_count() -> None:
    scores = [[-1e12, 0.0], [-3e-3, 0.0], [-2e-3, 0.0], [-1e-3, 0.0]]
    costs = [[[0.0, 1.0]] * 4]
    found = maximise(scores, costs, [3.0])
    assert found is not None
    assert found.choices == (1, 1, 1, 0)


def test_of_equal_scores_the_cheaper_option_is_taken() -> None:
    found = maximise([[1.0, 1.0, 1.0], [0.0, 5.0, 5.0]], [[[2, 3, 4], [2, 3, 4]]], [100.0])
    assert found is not None
    assert found.choices == (0, 1)


def test_a_limit_that_only_rounding_exceeds_is_kept() -> None:
    costs = [[[0.1, 0.2]] * 3]
    found = maximise([[0.0, 1.0]] * 3, costs, [0.2 + 0.2 + 0.2 - 1e-16])
    assert found is not None
    assert found.choices == (1, 1, 1)


def test_what_c_code_prints_is_discarded(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(1, b"before ")
    with quiet_output():
        os.write(1, b"stray line")
    os.write(1, b"after")
    assert capfd.readouterr().out == "before after"


def test_solving_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    # Scores in proportion to costs make HiGHS print lines of its own.
    rng = np.random.default_rng(0)
    costs = np.outer(rng.integers(100, 1000, 20), [2.0, 3.0, 4.0])
    maximise(costs.tolist(), [costs.tolist()], [0.8 * costs[:, 2].sum()], nodes=50)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("bound", [None, -math.inf, math.nan])
def test_a_gap_is_no_more_than_what_is_lost(monkeypatch: pytest.MonkeyPatch, bound) -> None:
    """The solver may stop at its limit of nodes before it has any bound."""

    def stopped(*arguments, **options):
        result = milp(*arguments, **options)
        result.status, result.mip_dual_bound = 1, bound
        return result

    monkeypatch.setattr("scipy.optimize.milp", stopped)
    scores, costs = [[-7.0, -2.0, 0.0], [-5.0, -1.0, 0.0]], [[[2, 3, 4]] * 2]
    found = maximise(scores, costs, [6.0])
    assert found is not None
    assert found.choices == (1, 1)
    assert found.gap == 3.0


def test_threads_take_turns_and_leave_the_output_as_it_was(
    capfd: pytest.CaptureFixture[str],
) -> None:
    entered, go = threading.Event(), threading.Event()

    def quiet() -> None:
        with quiet_output():
            entered.set()
            go.wait(10)

    first = threading.Thread(target=quiet)
    first.start()
    entered.wait(10)
    second = threading.Thread(target=quiet)
    second.start()
    go.set()
    first.join()
    second.join()
    os.write(1, b"still here")
    assert capfd.readouterr().out == "still here"


def test_solving_needs_no_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    found = maximise([[-1.0, 0.0]], [[[1.0, 2.0]]], [2.0])
    assert found is not None
    assert found.choices == (1,)
