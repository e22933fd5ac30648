"""The integer program with terms for pairs, against every choice there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.allocation._quadratic import maximise_pairs
from gp_emq.allocation._solver import within
from gp_emq.errors import AllocationError


def total(choice, scores, pairs) -> float:
    return math.fsum(
        [row[option] for row, option in zip(scores, choice, strict=True)]
        + [float(table[choice[one], choice[other]]) for (one, other), table in pairs.items()]
    )


def feasible(scores, costs, limits):
    for choice in itertools.product(*(range(len(row)) for row in scores)):
        spent = [
            math.fsum(row[option] for row, option in zip(rows, choice, strict=True))
            for rows in costs
        ]
        if all(within(cost, limit) for cost, limit in zip(spent, limits, strict=True)):
            yield choice


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_choice_is_better(seed: int) -> None:
    draw = np.random.default_rng(seed)
    counts = draw.integers(1, 4, draw.integers(1, 6))
    scores = [draw.standard_normal(count).tolist() for count in counts]
    pairs = {
        (one, other): draw.standard_normal((counts[one], counts[other])) * 10 ** draw.uniform(-3, 1)
        for one, other in itertools.combinations(range(len(counts)), 2)
        if draw.random() < 0.7
    }
    limits = [float(draw.uniform(0.3, 0.9) * sum(counts)) for _ in range(draw.integers(0, 3))]
    costs = [[np.arange(1.0, count + 1).tolist() for count in counts] for _ in limits]
    choices = list(feasible(scores, costs, limits))
    found = maximise_pairs(scores, pairs, costs, limits, nodes=10_000)
    if not choices:
        assert found is None
        return
    assert found is not None
    assert found.choices in choices
    best = max(total(choice, scores, pairs) for choice in choices)
    assert total(found.choices, scores, pairs) == pytest.approx(best, abs=1e-8)
    assert found.gap <= 1e-8


def test_pairs_change_what_is_best() -> None:
    """By hand: each alone wants its first option, and both together lose 3."""
    scores = [[0.0, -1.0], [0.0, -1.5]]
    alone = maximise_pairs(scores, {}, [], [])
    together = maximise_pairs(scores, {(0, 1): np.array([[-3.0, 0.0], [0.0, 0.0]])}, [], [])
    assert alone is not None
    assert alone.choices == (0, 0)
    assert together is not None
    assert together.choices == (1, 0)


def test_pairs_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(AllocationError, match="the lower entry first, not 1 and 0"):
        maximise_pairs([[0.0], [0.0]], {(1, 0): np.zeros((1, 1))}, [], [])


def test_what_is_left_when_nodes_run_out_is_a_bound() -> None:
    draw = np.random.default_rng(1)
    scores = [draw.standard_normal(3).tolist() for _ in range(7)]
    pairs = {pair: 2 * draw.standard_normal((3, 3)) for pair in itertools.combinations(range(7), 2)}
    costs = [[[1.0, 2.0, 3.0]] * 7]
    found = maximise_pairs(scores, pairs, costs, [14.0], nodes=1)
    assert found is not None
    best = max(total(choice, scores, pairs) for choice in feasible(scores, costs, [14.0]))
    assert total(found.choices, scores, pairs) + found.gap >= best - 1e-8
