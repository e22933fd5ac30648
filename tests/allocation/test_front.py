"""The best configuration at every limit, against all configurations of small networks."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.allocation import Problem, best_within, search_space
from gp_emq.allocation._front import best_at
from gp_emq.networks import Layer, size_table

entry = st.integers(1, 4).flatmap(
    lambda options: st.tuples(
        *(st.lists(st.integers(0, 9).map(float), min_size=options, max_size=options) for _ in "sc")
    )
)


@given(st.lists(entry, min_size=1, max_size=5), st.lists(st.integers(0, 40), min_size=1))
@settings(max_examples=200, deadline=None)
def test_it_finds_what_trying_everything_finds(entries, limits) -> None:
    scores, costs = zip(*entries, strict=True)
    found = best_at(scores, costs, limits)
    for limit, choice in zip(limits, found, strict=True):
        within = [
            math.fsum(row[option] for row, option in zip(scores, options, strict=True))
            for options in itertools.product(*(range(len(row)) for row in scores))
            if sum(row[option] for row, option in zip(costs, options, strict=True)) <= limit
        ]
        if choice is None:
            assert within == []
            continue
        assert sum(row[option] for row, option in zip(costs, choice, strict=True)) <= limit
        total = math.fsum(row[option] for row, option in zip(scores, choice, strict=True))
        assert total == pytest.approx(max(within))


@pytest.fixture
def layers():
    sizes = (5, 30, 80, 80, 33, 12)
    return [
        Layer(f"layer{place}", "Linear", (size, 3), 100 * size, 0, 1000, place, place)
        for place, size in enumerate(sizes)
    ]


def test_more_choices_than_allowed_make_none_at_all() -> None:
    scores = [[0.0, 2.0**place] for place in range(6)]
    assert best_at(scores, scores, [63.0], states=63) is None
    assert best_at(scores, scores, [63.0], states=64) == [(1,) * 6]


@pytest.mark.parametrize("states", [1, 20_000])
def test_both_ways_plan_the_same(layers, monkeypatch, states) -> None:
    bits = (2, 3, 4)
    monkeypatch.setattr(best_at, "__kwdefaults__", {"states": states})
    sizes = size_table(layers, bits)
    costs = {(e, w): sizes[e, p] for e in range(len(layers)) for p, w in enumerate(bits)}
    table = [[-((e + 1.7) ** 1.5) / 2 ** (2 * w) for w in bits] for e in range(len(layers))]
    problem = Problem.of(table, search_space(layers, bits), ())
    least, most = sizes[:, 0].sum(), sizes[:, -1].sum()
    limits = [least - 1, *(least + share * (most - least) for share in (0, 0.2, 0.5, 0.9, 1))]
    found = best_within(problem, costs, limits)
    assert found[0] is None
    assert found[1] == (2,) * 6
    assert found[-1] == (4,) * 6
    every = list(itertools.product(bits, repeat=6))
    for limit, plan in list(zip(limits, found, strict=True))[1:]:
        fitting = [c for c in every if sum(costs[e, w] for e, w in enumerate(c)) <= limit]
        assert problem.score(plan) == pytest.approx(max(map(problem.score, fitting)), abs=1e-12)
