"""Fitness is Kendall's tau on the training configurations, whichever way a table points."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from gp_emq.correlation import rounded
from gp_emq.evolution import Measurement, centred
from gp_emq.evolution._objective import paired_standard_error
from gp_emq.objectives import BenchObjective
from gp_emq.proxies import configuration_scores


def tau(scores: np.ndarray, accuracies: np.ndarray) -> float:
    value = stats.kendalltau(rounded(scores), accuracies).statistic
    return 0.0 if np.isnan(value) else value


def random_tables(count: int, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, 4, 3)))


def alone(tables) -> list[tuple[np.ndarray]]:
    return [(table,) for table in tables]


def measure(tiny, table: np.ndarray, **options) -> Measurement:
    return BenchObjective(tiny.bench, **options).measure([(table,)])[0]


@pytest.fixture
def choices(tiny) -> np.ndarray:
    return tiny.bench.configurations.astype(int) - 2


def test_taus_are_scipys_on_each_split_and_the_sign_makes_training_positive(tiny, choices) -> None:
    for table, found in zip(
        random_tables(40), BenchObjective(tiny.bench).measure(alone(random_tables(40))), strict=True
    ):
        scores = configuration_scores(centred(table), choices)
        training, validation = tiny.bench.training, tiny.bench.validation
        expected = tau(scores[training], tiny.bench.accuracies[training])
        assert found.sign == (-1 if expected < 0 else 1)
        assert found.training == pytest.approx(abs(expected), abs=1e-12)
        assert found.by_network == ((found.training, found.validation),)
        assert found.validation == pytest.approx(
            found.sign * tau(scores[validation], tiny.bench.accuracies[validation]), abs=1e-12
        )


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), offset=st.floats(-5, 5), factor=st.floats(-3, 3))
def test_offsets_of_rows_and_factors_change_the_sign_alone(tiny, seed, offset, factor) -> None:
    assume(abs(factor) > 1e-3)
    (table,) = random_tables(1, seed)
    one = measure(tiny, table)
    other = measure(tiny, factor * (table + offset * np.arange(4)[:, None]))
    assume(one.training > 0)
    assert other.sign == one.sign * np.sign(factor)
    assert (other.training, other.validation) == (one.training, one.validation)
    np.testing.assert_array_equal(other.left_out, one.left_out)
    np.testing.assert_array_equal(other.ranks, one.ranks)


def test_what_a_table_measures_does_not_depend_on_what_is_measured_beside_it(tiny) -> None:
    fitness, tables = BenchObjective(tiny.bench), random_tables(30)
    for table, beside in zip(tables, fitness.measure(alone(tables)), strict=True):
        (apart,) = fitness.measure([(table,)])
        assert (apart.training, apart.validation) == (beside.training, beside.validation)
        np.testing.assert_array_equal(apart.left_out, beside.left_out)
        np.testing.assert_array_equal(apart.ranks, beside.ranks)


def test_nothing_measured_is_nothing_found(tiny) -> None:
    assert BenchObjective(tiny.bench).measure([]) == []


def test_taus_with_one_configuration_left_out_are_recomputed_exactly(tiny, choices) -> None:
    training = tiny.bench.training
    accuracies = tiny.bench.accuracies[training]
    tables = [*random_tables(3), np.round(random_tables(1, 5)[0]), np.eye(4, 3)]
    for table, found in zip(tables, BenchObjective(tiny.bench).measure(alone(tables)), strict=True):
        scores = found.sign * configuration_scores(centred(table), choices)[training]
        expected = [
            tau(np.delete(rounded(scores), i), np.delete(accuracies, i))
            for i in range(len(training))
        ]
        np.testing.assert_allclose(found.left_out, expected, atol=1e-12)


def test_the_paired_standard_error_is_the_jackknifes(tiny) -> None:
    one, other = BenchObjective(tiny.bench).measure(alone(random_tables(2)))
    differences = [a - b for a, b in zip(one.left_out, other.left_out, strict=True)]
    n, mean = len(differences), sum(differences) / len(differences)
    by_hand = ((n - 1) / n * sum((d - mean) ** 2 for d in differences)) ** 0.5
    assert paired_standard_error(one, other) == pytest.approx(by_hand)
    assert paired_standard_error(one, other) == paired_standard_error(other, one)
    assert paired_standard_error(one, one) == 0


def test_ranks_correlate_as_spearman_does(tiny, choices) -> None:
    tables = [*random_tables(4), np.round(random_tables(1, 9)[0])]
    found = BenchObjective(tiny.bench).measure(alone(tables))
    scores = [
        m.sign * configuration_scores(centred(table), choices)[tiny.bench.training]
        for table, m in zip(tables, found, strict=True)
    ]
    for a in range(len(tables)):
        for b in range(len(tables)):
            expected = stats.spearmanr(rounded(scores[a]), rounded(scores[b])).statistic
            assert found[a].ranks @ found[b].ranks == pytest.approx(expected)


def test_a_constant_table_measures_nothing(tiny) -> None:
    found = measure(tiny, np.full((4, 3), 7.0))
    assert (found.training, found.validation, found.sign) == (0, 0, 1)
    assert not found.ranks.any()


def test_a_sample_of_the_training_configurations_is_drawn_by_the_seed(tiny, choices) -> None:
    (table,) = random_tables(1)
    one = BenchObjective(tiny.bench, samples=15, seed=1)
    assert len(one.training) == 15
    again = measure(tiny, table, samples=15, seed=1)
    other = measure(tiny, table, samples=15, seed=2)
    assert one.measure([(table,)])[0].training == again.training
    assert not np.array_equal(other.left_out, again.left_out)
    assert len(again.left_out) == 15
    whole = measure(tiny, table)
    assert again.validation in (whole.validation, -whole.validation)


def test_more_samples_than_there_are_mean_all(tiny) -> None:
    (table,) = random_tables(1)
    assert len(BenchObjective(tiny.bench, samples=10**6).training) == len(tiny.bench.training)
    assert measure(tiny, table, samples=10**6).training == measure(tiny, table).training


def test_test_configurations_are_never_read(tiny) -> None:
    from dataclasses import replace

    accuracies = tiny.bench.accuracies.copy()
    accuracies[tiny.bench.test] = np.random.default_rng(0).random(len(tiny.bench.test))
    changed = replace(tiny.bench, accuracies=accuracies)
    tables = random_tables(10)
    for one, other in zip(
        BenchObjective(tiny.bench).measure(alone(tables)),
        BenchObjective(changed).measure(alone(tables)),
        strict=True,
    ):
        assert (one.training, one.validation) == (other.training, other.validation)
