"""Who becomes a parent and who survives, by examples small enough for a hand calculation."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gp_emq.errors import GpEmqError
from gp_emq.evolution import Individual, Measurement, _selection, make_selection
from gp_emq.evolution._selection import SELECTIONS, diversity
from gp_emq.proxies import language, parse_expression
from gp_emq.store import IndividualRow

TREE = list(parse_expression("log(bits)", language()))
LARGER = list(parse_expression("log(log(bits))", language()))


def unit_ranks(scores) -> np.ndarray:
    ranks = stats.rankdata(scores)
    return (ranks - ranks.mean()) / np.linalg.norm(ranks - ranks.mean())


def individual(identifier: int, tau: float, *, nodes=TREE, scores=(1, 2, 3, 4), left_out=(0, 0)):
    measurement = Measurement(
        sign=1,
        training=tau,
        validation=0.0,
        by_network=((tau, 0.0),),
        make_left_out=lambda: np.asarray(left_out, dtype=float),
        make_ranks=lambda: unit_ranks(scores),
    )
    row = IndividualRow(
        id=identifier, generation=0, place=0, attempt=0, operator="fresh", parents=(),
        expression="log(bits)", canonical="log(bits)", size=2, depth=1,
    )  # fmt: skip
    return Individual(nodes, row, measurement)


def on_benches(identifier: int, *taus: float) -> Individual:
    """Give an individual that comes to these taus, each on a bench of its own."""
    one = individual(identifier, float(np.mean(taus)))
    by_network = tuple((tau, 0.0) for tau in taus)
    measurement = replace(one.measurement, by_network=by_network)
    return Individual(TREE, one.row, measurement)


def sorted_population(*taus: float) -> list[Individual]:
    members = [individual(number, tau) for number, tau in enumerate(taus)]
    return sorted(members, key=lambda member: -member.tau)


def identifiers(individuals) -> list[int]:
    return [one.identifier for one in individuals]


@pytest.fixture
def rng() -> random.Random:
    return random.Random(0)


def test_selections_are_found_by_name() -> None:
    assert set(SELECTIONS) == {"diversity", "emq", "tournament", "lexicase", "random"}
    for name in SELECTIONS:
        assert make_selection(name).name == name


def test_an_unknown_selection_is_told_the_known_ones() -> None:
    with pytest.raises(GpEmqError, match="unknown selection 'best'; known are diversity, emq"):
        make_selection("best")


class TestEmq:
    selection = make_selection("emq")

    def test_there_are_as_many_offspring_and_as_many_fresh_as_members(self) -> None:
        assert (self.selection.offspring(7), self.selection.fresh(7)) == (7, 7)

    def test_of_each_pair_the_better_enters_and_the_worst_leaves(self, rng) -> None:
        population = sorted_population(0.5, 0.4, 0.3)
        newcomers = {
            0: individual(10, 0.35),  # enters for 0.3
            3: individual(13, 0.10),
            1: individual(11, 0.05),
            4: individual(14, 0.45),  # enters for 0.35
            2: individual(12, 0.20),  # enters and leaves at once
            5: individual(15, 0.15),
        }
        survivors = self.selection.survivors(population, newcomers, 3, rng)
        assert sorted(identifiers(survivors)) == [0, 1, 14]

    def test_a_place_that_nobody_filled_changes_nothing(self, rng) -> None:
        population = sorted_population(0.5, 0.4, 0.3)
        newcomers = {4: individual(14, 0.6)}
        survivors = self.selection.survivors(population, newcomers, 3, rng)
        assert sorted(identifiers(survivors)) == [0, 1, 14]

    def test_a_population_that_is_not_full_grows(self, rng) -> None:
        survivors = self.selection.survivors(
            sorted_population(0.5), {0: individual(9, 0.1)}, 3, rng
        )
        assert sorted(identifiers(survivors)) == [0, 9]

    def test_parents_come_from_the_better_half_all_alike(self, rng) -> None:
        population = sorted_population(0.5, 0.4, 0.3, 0.2)
        drawn = Counter(self.selection.parent(population, rng).identifier for _ in range(600))
        assert set(drawn) == {0, 1}
        assert drawn[0] == pytest.approx(300, abs=60)

    def test_a_single_member_is_a_parent(self, rng) -> None:
        assert self.selection.parent(sorted_population(0.5), rng).identifier == 0

    def test_of_twins_the_younger_leaves(self, rng) -> None:
        twins = [individual(1, 0.3), individual(2, 0.3)]
        survivors = self.selection.survivors(twins, {0: individual(3, 0.4)}, 2, rng)
        assert sorted(identifiers(survivors)) == [1, 3]


@pytest.mark.parametrize("name", ["tournament", "diversity"])
class TestTournaments:
    def test_the_best_stays_and_nobody_comes_twice(self, name, rng) -> None:
        population = sorted_population(*(0.01 * number for number in range(8)))
        newcomers = {number: individual(20 + number, 0.02 * number) for number in range(8)}
        for _ in range(50):
            survivors = make_selection(name).survivors(population, newcomers, 8, rng)
            assert len(survivors) == len(set(identifiers(survivors))) == 8
            assert 27 in identifiers(survivors)

    def test_twins_are_two_individuals(self, name, rng) -> None:
        """Equal trees, as duplicates of a small set are."""
        population = [individual(number, 0.3) for number in range(6)]
        for _ in range(30):
            survivors = make_selection(name).survivors(population, {}, 4, rng)
            assert len(set(identifiers(survivors))) == 4

    def test_those_that_fit_all_stay(self, name, rng) -> None:
        population = sorted_population(0.3, 0.2)
        survivors = make_selection(name).survivors(population, {0: individual(9, 0.1)}, 5, rng)
        assert sorted(identifiers(survivors)) == [0, 1, 9]

    def test_nobody_survives_of_nobody(self, name, rng) -> None:
        assert make_selection(name).survivors([], {}, 4, rng) == []

    def test_the_fitter_win_more_often(self, name, rng) -> None:
        # Scores that differ by far more than any standard error.
        population = sorted_population(*(0.1 * number for number in range(10)))
        counts = Counter()
        for _ in range(200):
            survivors = make_selection(name).survivors(population, {}, 5, rng)
            counts.update(identifiers(survivors))
        better = sum(counts[number] for number in range(5, 10))
        assert better > 2 * sum(counts[number] for number in range(5))

    def test_parents_are_winners(self, name, rng) -> None:
        population = sorted_population(*(0.1 * number for number in range(10)))
        drawn = [make_selection(name).parent(population, rng).identifier for _ in range(300)]
        assert np.mean(drawn) > 5.5


class TestDiversityPromptingTournament:
    selection = SELECTIONS["diversity"]()
    unsure = (-1.0, 1.0)
    """Left-out taus that make the standard error of a difference to (0, 0) as large as one."""

    def winner(self, contest, chosen) -> int:
        return self.selection.winner(contest, chosen).identifier

    def test_among_the_tied_the_least_correlated_with_those_chosen_wins(self) -> None:
        chosen = [individual(1, 0.9, scores=(1, 2, 3, 4))]
        contest = [
            individual(2, 0.50, scores=(1, 2, 4, 3)),  # Spearman 0.8
            individual(3, 0.49, scores=(2, 4, 1, 3), left_out=self.unsure),  # Spearman 0
            individual(4, 0.49, scores=(4, 3, 2, 1), left_out=self.unsure),  # −1 is alike too
        ]
        assert self.winner(contest, chosen) == 3

    def test_the_closest_of_those_chosen_counts(self) -> None:
        chosen = [individual(1, 0.9, scores=(1, 2, 3, 4)), individual(5, 0.9, scores=(2, 4, 1, 3))]
        contest = [
            individual(2, 0.50, scores=(1, 3, 2, 4)),  # 0.8 and, to the second, −0.2… at most 0.8
            individual(3, 0.49, scores=(2, 4, 1, 3), left_out=self.unsure),  # 0, but 1 to another
        ]
        assert self.winner(contest, chosen) == 2

    def test_more_than_two_hundredths_are_no_tie(self) -> None:
        chosen = [individual(1, 0.9, scores=(1, 2, 3, 4))]
        contest = [
            individual(2, 0.50, scores=(1, 2, 3, 4)),
            individual(3, 0.479, scores=(2, 4, 1, 3), left_out=self.unsure),
        ]
        assert self.winner(contest, chosen) == 2

    def test_more_than_one_standard_error_is_no_tie(self) -> None:
        # Two configurations: the jackknife error of differences ∓d is √(1/2 · 2d²) = d.
        chosen = [individual(1, 0.9, scores=(1, 2, 3, 4))]
        best = individual(2, 0.50, scores=(1, 2, 3, 4))
        sure = individual(3, 0.49, scores=(2, 4, 1, 3), left_out=(-0.009, 0.009))
        unsure = individual(4, 0.49, scores=(2, 4, 1, 3), left_out=(-0.011, 0.011))
        assert self.winner([best, sure], chosen) == 2
        assert self.winner([best, unsure], chosen) == 4

    def test_equally_correlated_ones_are_decided_by_fitness(self) -> None:
        chosen = [individual(1, 0.9, scores=(1, 2, 3, 4))]
        contest = [
            individual(2, 0.50, scores=(2, 4, 1, 3)),
            individual(3, 0.49, scores=(3, 1, 4, 2), left_out=self.unsure),
        ]
        assert self.winner(contest, chosen) == 2


class TestRandom:
    selection = make_selection("random")

    def test_there_are_no_offspring(self) -> None:
        assert (self.selection.offspring(7), self.selection.fresh(7)) == (0, 7)

    def test_the_best_of_all_stay(self, rng) -> None:
        newcomers = {0: individual(9, 0.35), 1: individual(8, 0.1)}
        survivors = self.selection.survivors(sorted_population(0.5, 0.3), newcomers, 2, rng)
        assert identifiers(survivors) == [0, 9]


@pytest.mark.parametrize("name", ["tournament", "random", "emq"])
def test_of_equal_fitness_the_smaller_and_then_the_older_goes_first(name, rng) -> None:
    population = [individual(1, 0.3, nodes=LARGER), individual(3, 0.3), individual(2, 0.3)]
    population.sort(key=lambda one: (-one.tau, len(one), one.identifier))
    newcomers = {0: individual(4, 0.3)}
    survivors = make_selection(name).survivors(population, newcomers, 1, rng)
    assert 2 in identifiers(survivors)


def test_diversity_is_one_less_the_mean_absolute_spearman_of_all_pairs(monkeypatch) -> None:
    scores = [(1, 2, 3, 4), (1, 2, 4, 3), (4, 3, 2, 1)]
    population = [individual(n, 0.1, scores=s) for n, s in enumerate(scores)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = 1 - np.mean([abs(stats.spearmanr(scores[a], scores[b])[0]) for a, b in pairs])
    assert diversity(population) == pytest.approx(expected)
    # Of ranks that are too many, as many members as may be looked at, at equal distances.
    monkeypatch.setattr(_selection, "LARGEST_RANKS", 3 * len(population[0].measurement.ranks))
    assert diversity(population * 4) == diversity((population * 4)[:: -(-4 * len(population) // 3)])
    assert diversity(population[:1]) == 0
    assert diversity([]) == 0
    assert diversity([population[0]] * 3) == pytest.approx(0)


class TestLexicase:
    selection = make_selection("lexicase")

    def test_the_best_of_each_bench_becomes_a_parent_and_the_mean_of_both_does_not(
        self, rng
    ) -> None:
        # Whichever bench comes first: all but its best are further off than the median deviation.
        population = [on_benches(0, 0.6, 0.6), on_benches(1, 0.9, 0.0), on_benches(2, 0.0, 0.9)]
        population += [on_benches(3 + place, 0.59 - place / 1e3, 0.58) for place in range(9)]
        drawn = Counter(self.selection.parent(population, rng).identifier for _ in range(400))
        assert set(drawn) == {1, 2}
        assert 150 < drawn[1] < 250

    def test_the_deviation_of_those_in_the_running_counts_by_hand(self, rng) -> None:
        population = [
            on_benches(number, tau) for number, tau in enumerate((0.8, 0.7, 0.5, 0.4, 0.3))
        ]
        # Median 0.5; deviations 0.3, 0.2, 0, 0.1, 0.2, of which the median is 0.2: 0.6 stays.
        drawn = {self.selection.parent(population, rng).identifier for _ in range(100)}
        assert drawn == {0, 1}

    def test_the_best_mean_stays_and_then_the_best_of_benches(self, rng) -> None:
        population = [on_benches(0, 0.6, 0.6), on_benches(1, 0.58, 0.58), on_benches(2, 0.57, 0.57)]
        newcomers = {0: on_benches(3, 0.9, 0.0), 1: on_benches(4, 0.0, 0.9)}
        kept = identifiers(self.selection.survivors(population, newcomers, 2, rng))
        # Of the other four on one bench: median 0.575, of their deviations 0.165.
        assert kept in ([0, 3], [0, 4])
