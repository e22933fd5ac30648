"""At equal cost fitness counts the pairs of configurations that cost about the same."""

import itertools

import numpy as np
import pytest

from gp_emq.correlation import rounded
from gp_emq.errors import GpEmqError
from gp_emq.evolution import centred
from gp_emq.objectives import BenchObjective, EqualCostObjective, MeanObjective
from gp_emq.proxies import configuration_scores


def counted(scores, accuracies, costs, spread) -> float:
    pairs = [
        (np.sign(scores[i] - scores[j]), np.sign(accuracies[i] - accuracies[j]))
        for i, j in itertools.combinations(range(len(scores)), 2)
        if abs(costs[i] - costs[j]) < 0.1 * spread or costs[i] == costs[j]
    ]
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    untied = np.sqrt(np.abs(left).sum() * np.abs(right).sum())
    return float((left * right).sum() / untied) if untied else 0.0


def test_taus_are_those_of_the_pairs_one_by_one(tiny) -> None:
    bench = tiny.bench
    costs = bench.configurations @ np.array([100.0, 20.0, 300.0, 50.0])
    objective = EqualCostObjective(bench, costs, window=0.1)
    tables = list(np.random.default_rng(1).normal(size=(10, 4, 3)))
    for table, found in zip(tables, objective.measure([(t,) for t in tables]), strict=True):
        scores = configuration_scores(centred(table), bench.configurations.astype(int) - 2)
        taus = [
            counted(rounded(scores[part]), bench.accuracies[part], costs[part], np.ptp(costs))
            for part in (bench.training, bench.validation)
        ]
        assert found.sign == (-1 if taus[0] < 0 else 1)
        assert found.training == pytest.approx(abs(taus[0]), abs=1e-12)
        assert found.validation == pytest.approx(found.sign * taus[1], abs=1e-12)
        assert found.left_out.shape == bench.training.shape


def test_a_window_of_the_whole_range_is_plain_tau(tiny) -> None:
    bench = tiny.bench
    costs = bench.configurations.sum(axis=1).astype(float)
    table = np.random.default_rng(2).normal(size=(4, 3))
    (one,) = EqualCostObjective(bench, costs, window=1.01).measure([(table,)])
    (other,) = BenchObjective(bench).measure([(table,)])
    assert (one.sign, one.training, one.validation) == (
        other.sign, other.training, other.validation,
    )  # fmt: skip
    np.testing.assert_allclose(one.left_out, other.left_out, atol=1e-12)


def test_it_composes_and_refuses_what_it_cannot_compare(tiny) -> None:
    bench = tiny.bench
    costs = bench.configurations.sum(axis=1).astype(float)
    mean = MeanObjective([EqualCostObjective(bench, costs)])
    assert mean.networks == (bench.name,)
    alone = np.arange(len(costs)) * 1000.0
    with pytest.raises(GpEmqError, match="no fitness at equal cost: no two training"):
        EqualCostObjective(bench, alone, window=1e-6)
