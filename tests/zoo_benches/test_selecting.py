import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from gp_emq.errors import BenchError
from gp_emq.mqbench import BAND, NEIGHBOUR, PLAN, RANDOM, split_together
from gp_emq.networks import find_layers
from gp_emq.zoo_benches._plans import SHARES, make_plans
from gp_emq.zoo_benches._selecting import select_configurations, select_plans
from gp_emq.zoo_benches._swaps import TOLERANCE

BITS = (2, 3, 4)
WIDTHS = (6, 10, 8, 24, 16, 12, 20, 9, 14)


def make_layers():
    """Of a plain network of nine linear layers."""
    pairs = itertools.pairwise((5, *WIDTHS))
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in pairs))
    return find_layers(model, torch.zeros(1, 5))


LAYERS = make_layers()
PARAMETERS = np.array([a * b + b for a, b in itertools.pairwise((5, *WIDTHS))])


def make_tables():
    generator = np.random.default_rng(5)
    return {
        name: -np.cumsum(generator.random((len(LAYERS), 3)) ** 3, axis=1)[:, ::-1]
        for name in ("one", "two", "three", "four", "five")
    }


def share_of(configuration) -> float:
    return float((PARAMETERS * (np.asarray(configuration) - 2)).sum() / (2 * PARAMETERS.sum()))


def test_plans_are_the_optima_of_brute_force() -> None:
    table = make_tables()["one"]
    plans = make_plans({"one": table}, LAYERS, BITS)
    every = np.array(list(itertools.product(range(3), repeat=len(LAYERS))))
    scores = table[np.arange(len(LAYERS)), every].sum(axis=1)
    sizes = every @ PARAMETERS / (2 * PARAMETERS.sum())
    assert sorted({share for share, _ in plans}) == list(SHARES)
    for share, widths in plans:
        best = scores[sizes <= share + 1e-12].max()
        assert np.isclose(table[np.arange(len(LAYERS)), list(widths)].sum(), best, rtol=1e-12)


def test_those_that_plan_alike_share_a_plan() -> None:
    table = make_tables()["one"]
    plans = make_plans({"one": table, "same": 3 * table}, LAYERS, BITS)
    assert set(plans.values()) == {("one", "same")}


def test_a_table_without_order_plans_nothing() -> None:
    with pytest.raises(BenchError, match="no proxy plans anything"):
        make_plans({"flat": np.zeros((len(LAYERS), 3))}, LAYERS, BITS)


def test_thirds_are_random_in_bands_and_near_plans() -> None:
    selection = select_configurations(make_tables(), LAYERS, BITS, count=90, seed=0)
    rows, chosen = selection.configurations, selection.chosen
    assert len(np.unique(rows, axis=0)) == len(chosen) == 90
    counts = Counter(one.kind for one in chosen)
    assert counts[PLAN] == 18
    assert counts[NEIGHBOUR] == 12
    assert counts[BAND] == counts[RANDOM] == 30
    plans = make_plans(make_tables(), LAYERS, BITS)
    for row, one in zip(rows, chosen, strict=True):
        if one.kind == BAND:
            assert abs(share_of(row) - one.share) <= TOLERANCE + 1e-9
        if one.kind == PLAN:
            assert plans[one.share, tuple((row - 2).tolist())] == one.proxies
        if one.kind == NEIGHBOUR:
            plan = rows[one.near]
            assert chosen[one.near].kind == PLAN
            assert np.abs(row - plan).sum() == 2 * one.swaps
            assert abs(share_of(row) - share_of(plan)) <= TOLERANCE + 1e-9
    assert set(Counter(one.share for one in chosen if one.kind == PLAN).values()) == {2}


def test_a_selection_depends_on_the_seed_alone() -> None:
    first, again, other = (
        select_configurations(make_tables(), LAYERS, BITS, count=30, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first.sha256() == again.sha256() != other.sha256()


def test_a_network_too_small_for_bands_is_filled_with_random_ones() -> None:
    layers = find_layers(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), torch.zeros(1, 2))
    table = {"one": np.array([[-3.0, -2, -1], [-5, -3, 0]])}
    selection = select_configurations(table, layers, BITS, count=9, seed=0)
    assert len(np.unique(selection.configurations, axis=0)) == 9
    with pytest.raises(BenchError, match="there are 1 to 9 different ones"):
        select_configurations(table, layers, BITS, count=10, seed=0)


def test_all_plans_and_some_neighbours_of_each() -> None:
    tables = make_tables()
    selection = select_plans(tables, LAYERS, BITS, neighbours=2, seed=0)
    counts = Counter(one.kind for one in selection.chosen)
    assert counts[PLAN] == len({widths for _, widths in make_plans(tables, LAYERS, BITS)})
    assert 0 < counts[NEIGHBOUR] <= 2 * counts[PLAN]
    near = Counter(one.near for one in selection.chosen if one.near is not None)
    assert max(near.values()) <= 2 + len(near)


def test_no_family_is_apart_and_every_kind_is_split_alike() -> None:
    selection = select_configurations(make_tables(), LAYERS, BITS, count=90, seed=3)
    families, kinds = selection.families(), [one.kind for one in selection.chosen]
    split = split_together(families, kinds, (3, 1))
    for one, part in zip(selection.chosen, split, strict=True):
        if one.near is not None:
            assert split[one.near] == part
    for own in ((RANDOM,), (BAND,), (PLAN, NEIGHBOUR)):
        counts = Counter(split[np.isin(kinds, own)].tolist())
        assert [counts[part] for part in range(3)] == pytest.approx([15, 4.5, 10.5], abs=2)
    whole = Counter(split.tolist())
    assert [whole[part] for part in range(3)] == pytest.approx([45, 13.5, 31.5], abs=0.5)
    assert np.array_equal(split, split_together(families, kinds, (3, 1)))
    assert not np.array_equal(split, split_together(families, kinds, (4, 1)))
