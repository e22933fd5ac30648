"""The mean over benches: one sign for all, and an honest error of what formulas differ by."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gp_emq.correlation import rounded
from gp_emq.errors import GpEmqError
from gp_emq.evolution._objective import paired_standard_error
from gp_emq.objectives import BenchObjective, MeanObjective
from gp_emq.proxies import configuration_scores

SEEDS = st.integers(0, 10**6)


@pytest.fixture(scope="session")
def benches(tiny):
    """The tiny bench, and one whose accuracies are others and of which fewer are for training."""
    rng = np.random.default_rng(7)
    noisy = np.clip(tiny.bench.accuracies + rng.normal(scale=0.15, size=81), 0, 1)
    split = tiny.bench.split.copy()
    split[tiny.bench.training[:9]] = 2
    return tiny.bench, replace(tiny.bench, name="noisy", accuracies=noisy, split=split)


@pytest.fixture(scope="session")
def objective(benches) -> MeanObjective:
    return MeanObjective([BenchObjective(bench) for bench in benches])


def random_formulas(count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(4, 3)), rng.normal(size=(4, 3))) for _ in range(count)]


def tau(table, bench, indices) -> float:
    """Kendall's tau by scipy; 0 where it is not defined."""
    centred = table - table.mean(axis=1, keepdims=True)
    scores = configuration_scores(centred, bench.configurations.astype(int) - 2)[indices]
    value = stats.kendalltau(rounded(scores), bench.accuracies[indices]).statistic
    return 0.0 if np.isnan(value) else float(value)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_it_is_the_mean_of_scipys_taus_and_its_sign_is_that_of_the_mean(
    benches, objective, seed
) -> None:
    formulas = random_formulas(4, seed)
    for tables, found in zip(formulas, objective.measure(formulas), strict=True):
        training = [tau(t, b, b.training) for t, b in zip(tables, benches, strict=True)]
        validation = [tau(t, b, b.validation) for t, b in zip(tables, benches, strict=True)]
        sign = -1 if sum(training) < 0 else 1
        assert found.sign == sign
        assert found.training == pytest.approx(sign * sum(training) / 2, abs=1e-12)
        assert found.validation == pytest.approx(sign * sum(validation) / 2, abs=1e-12)
        expected = [(sign * t, sign * v) for t, v in zip(training, validation, strict=True)]
        np.testing.assert_allclose(found.by_network, expected, atol=1e-12)


def test_a_bench_that_would_have_it_the_other_way_round_counts_against(benches) -> None:
    """A bench and its mirror image: whichever way a table points, one is as wrong as the other."""
    bench = benches[0]
    mirrored = replace(bench, name="mirrored", accuracies=1 - bench.accuracies)
    objective = MeanObjective([BenchObjective(bench), BenchObjective(mirrored)])
    (table, _), *_ = random_formulas(1, 3)
    (found,) = objective.measure([(table, table)])
    assert found.training == pytest.approx(0, abs=1e-12)
    assert found.by_network[0][0] == pytest.approx(-found.by_network[1][0])
    assert found.by_network[0][0] != 0


@settings(max_examples=25)
@given(seed=SEEDS)
def test_the_negation_of_a_formula_is_the_same_but_for_its_sign(objective, seed) -> None:
    formulas = random_formulas(1, seed)
    one, other = objective.measure([*formulas, *[tuple(-t for t in f) for f in formulas]])
    assert other.sign == -one.sign
    assert (other.training, other.validation) == (one.training, one.validation)
    np.testing.assert_array_equal(other.left_out, one.left_out)
    np.testing.assert_array_equal(other.ranks, one.ranks)


def test_left_out_is_the_mean_without_each_configuration_of_each_bench(benches, objective) -> None:
    formulas = random_formulas(3, 5)
    for tables, found in zip(formulas, objective.measure(formulas), strict=True):
        whole = [tau(t, b, b.training) for t, b in zip(tables, benches, strict=True)]
        expected = [
            found.sign * (tau(tables[k], bench, np.delete(bench.training, i)) + whole[1 - k]) / 2
            for k, bench in enumerate(benches)
            for i in range(len(bench.training))
        ]
        np.testing.assert_allclose(found.left_out, expected, atol=1e-12)


def test_the_standard_error_of_a_difference_is_that_of_independent_benches(
    benches, objective
) -> None:
    """The variances of each bench's own jackknife, added; the sign of each is put right first."""
    formulas = random_formulas(12, 8)
    for one, other in itertools.pairwise(formulas):
        variances = []
        signs = [found.sign for found in objective.measure([one, other])]
        for k, bench in enumerate(benches):
            differences = np.array(
                [
                    signs[0] * tau(one[k], bench, np.delete(bench.training, i))
                    - signs[1] * tau(other[k], bench, np.delete(bench.training, i))
                    for i in range(len(bench.training))
                ]
            )
            variances.append((len(differences) - 1) * differences.var())
        expected = np.sqrt(sum(variances)) / 2
        found = paired_standard_error(*objective.measure([one, other]))
        # The shares of 1/n: 41 and 32 configurations against 73 of both.
        assert found == pytest.approx(expected, rel=0.03)


def test_ranks_give_the_mean_of_the_spearman_correlations(benches, objective) -> None:
    formulas = random_formulas(4, 9)
    found = objective.measure(formulas)
    for a, b in itertools.combinations(range(4), 2):
        correlations = []
        for k, bench in enumerate(benches):
            scores = [
                found[x].sign
                * configuration_scores(
                    formulas[x][k] - formulas[x][k].mean(axis=1, keepdims=True),
                    bench.configurations[bench.training].astype(int) - 2,
                )
                for x in (a, b)
            ]
            correlations.append(stats.spearmanr(*map(rounded, scores)).statistic)
        assert found[a].ranks @ found[b].ranks == pytest.approx(np.mean(correlations))
        assert np.linalg.norm(found[a].ranks) == pytest.approx(1)


def test_of_one_bench_it_is_that_benchs(benches) -> None:
    alone = BenchObjective(benches[0])
    mean = MeanObjective([alone])
    assert mean.networks == alone.networks == ("tiny",)
    formulas = [(table,) for table, _ in random_formulas(6, 4)]
    for one, other in zip(alone.measure(formulas), mean.measure(formulas), strict=True):
        assert (one.sign, one.training, one.validation) == (
            other.sign, other.training, other.validation,
        )  # fmt: skip
        np.testing.assert_allclose(one.left_out, other.left_out, atol=1e-15)
        np.testing.assert_array_equal(one.ranks, other.ranks)


def test_means_are_made_of_means(benches, objective) -> None:
    third = replace(benches[1], name="third")
    nested = MeanObjective([objective, BenchObjective(third)])
    assert nested.networks == ("tiny", "noisy", "third")
    formulas = [(*tables, tables[1]) for tables in random_formulas(3, 2)]
    for (first, second, last), found in zip(formulas, nested.measure(formulas), strict=True):
        a, b, c = (
            tau(t, bench, bench.training)
            for t, bench in ((first, benches[0]), (second, benches[1]), (last, third))
        )
        assert found.training == pytest.approx(abs((a + b) / 2 + c) / 2, abs=1e-12)
        assert len(found.by_network) == 3


def test_nothing_measured_is_nothing_found(objective) -> None:
    assert objective.measure([]) == []


def test_no_bench_and_a_bench_twice_are_refused(benches) -> None:
    with pytest.raises(GpEmqError, match="at least one"):
        MeanObjective([])
    with pytest.raises(GpEmqError, match="'tiny' is there twice"):
        MeanObjective([BenchObjective(benches[0])] * 2)
