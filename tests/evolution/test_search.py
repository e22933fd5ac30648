"""A search is the same whatever happens to it, never evaluates twice, and never stalls."""

import itertools
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from deap import tools

from gp_emq.errors import GpEmqError, RunError
from gp_emq.evolution import Archive, Outcome
from gp_emq.evolution._selection import SELECTIONS
from gp_emq.proxies import parse_expression
from gp_emq.proxies._canonical import canonical_form
from gp_emq.store import GenerationRow, IndividualRow
from primitives import load_primitive_set


class Record:
    """All rows of a search, as its store would hold them."""

    def __init__(self, search, generations: int) -> None:
        self.search = search
        self.individuals: list[IndividualRow] = []
        self.generations: list[GenerationRow] = []
        self.advance(generations)

    def advance(self, generations: int) -> None:
        for _ in range(generations):
            self.generations.append(self.search.step())
            self.individuals += self.search.rows

    @property
    def accepted(self) -> list[IndividualRow]:
        return [row for row in self.individuals if row.reason is None]

    def comparable(self):
        """Everything but the time it took; tables to the last bit."""
        tables = [[table.tobytes() for table in row.tables] for row in self.individuals]
        rows = [replace(row, seconds=0.0) for row in self.individuals]
        return rows, tables, [replace(row, seconds=0.0) for row in self.generations]

    def front(self) -> list[tuple[int, float, str]]:
        """The smallest identifier of each point of the hall of fame."""
        points = defaultdict(list)
        for one in self.search.hall_of_fame:
            points[len(one)].append((one.identifier, one.tau, one.expression))
        return sorted((size, *min(point)) for size, point in points.items())


@pytest.fixture(scope="module")
def record(tiny) -> Record:
    """Six generations with the default selection."""
    return Record(tiny.search(), 6)


def test_the_first_generation_is_a_whole_population_of_random_trees(record) -> None:
    first = [row for row in record.accepted if row.generation == 0]
    assert len(first) == 10
    assert {row.operator for row in first} == {"fresh"}
    assert {row.parents for row in first} == {()}
    assert sorted(record.generations[0].population) == [row.id for row in first]


def test_rows_are_numbered_in_order_of_proposal(record) -> None:
    assert [row.id for row in record.individuals] == list(range(len(record.individuals)))
    assert record.generations[-1].proposals == len(record.individuals)


def test_every_individual_evaluated_is_a_row_and_counted_once(record) -> None:
    for row in record.generations:
        before = [one for one in record.accepted if one.generation <= row.generation]
        assert row.evaluations == len(before)


def test_rejections_are_counted_by_reason(record) -> None:
    for generation in record.generations:
        counted = defaultdict(int)
        for row in record.individuals:
            if row.generation == generation.generation and row.reason is not None:
                counted[row.reason] += 1
        assert generation.rejections == counted
    assert len({reason for row in record.generations for reason in row.rejections}) >= 4


def test_a_row_says_what_its_expression_says(record) -> None:
    primitive_set = load_primitive_set("bit_aware")
    for row in record.individuals:
        tree = parse_expression(row.expression, primitive_set)
        assert row.size == len(tree)
        assert row.depth == tree.height
        assert row.canonical == canonical_form(tree, primitive_set)


def test_accepted_rows_fit_the_screen_and_have_a_fitness(record, tiny) -> None:
    settings = tiny.search()._settings
    for row in record.accepted:
        assert row.size <= settings.max_size
        assert row.depth <= settings.max_depth
        assert 0 <= row.training_tau <= 1
        assert row.sign in (-1, 1)
        assert all(np.isfinite(table).all() for table in row.tables)


def test_nothing_is_evaluated_twice(record) -> None:
    forms = [row.canonical for row in record.accepted]
    assert len(set(forms)) == len(forms)
    archive = Archive()
    for row in record.accepted:
        assert archive.same_tables(row.tables) is None
        archive.remember(row)


def test_duplicates_have_the_table_of_one_accepted_before(record) -> None:
    archive, duplicates = Archive(), 0
    for row in record.individuals:
        if row.reason == "duplicate table":
            assert archive.same_tables(row.tables) is not None
            duplicates += 1
        elif row.reason is None:
            archive.remember(row)
    assert duplicates


def test_parents_are_members_of_the_population_before(record) -> None:
    counts = {"fresh": 0, "mutation": 1, "crossover": 2, "seed": 0}
    operators = set()
    for row in record.individuals:
        assert len(row.parents) == counts[row.operator]
        operators.add(row.operator)
        if row.parents:
            assert set(row.parents) <= set(record.generations[row.generation - 1].population)
    assert operators == {"fresh", "mutation", "crossover"}


def test_attempts_count_the_rejections_of_a_place(record) -> None:
    places = defaultdict(list)
    for row in record.individuals:
        places[row.generation, row.place].append(row)
    for rows in places.values():
        assert [row.attempt for row in rows] == list(range(len(rows)))
        assert [row.accepted for row in rows] == [False] * (len(rows) - 1) + [True]


def test_the_hall_of_fame_is_the_pareto_front_of_tau_and_size(record) -> None:
    accepted = record.accepted
    front = {
        (row.size, row.training_tau)
        for row in accepted
        if not any(
            (other.training_tau >= row.training_tau and other.size < row.size)
            or (other.training_tau > row.training_tau and other.size <= row.size)
            for other in accepted
        )
    }
    assert {(len(one), one.tau) for one in record.search.hall_of_fame} == front
    assert len(front) > 1


def test_the_best_never_gets_worse(record) -> None:
    best = [row.best_training for row in record.generations]
    assert best == sorted(best)
    assert best[-1] == max(row.training_tau for row in record.accepted)


def test_the_generation_row_describes_the_population(record) -> None:
    by_id = {row.id: row for row in record.accepted}
    for generation in record.generations:
        members = [by_id[identifier] for identifier in generation.population]
        taus = [row.training_tau for row in members]
        assert generation.best_training == max(taus)
        assert generation.median_training == pytest.approx(np.median(taus))
        best = min(members, key=lambda row: (-row.training_tau, row.size, row.id))
        assert generation.best_validation == best.validation_tau
        assert 0 <= generation.diversity <= 1


def test_deaps_logbook_follows(record) -> None:
    assert isinstance(record.search.logbook, tools.Logbook)
    assert isinstance(record.search.hall_of_fame, tools.ParetoFront)
    assert record.search.logbook.select("gen") == list(range(6))
    assert record.search.logbook.select("nevals") == [row.evaluations for row in record.generations]


def test_the_same_seed_gives_the_same_search_and_another_seed_another(record, tiny) -> None:
    assert Record(tiny.search(), 6).comparable() == record.comparable()
    assert Record(tiny.search(seed=1), 1).comparable() != Record(tiny.search(), 1).comparable()


def test_expressions_may_be_evaluated_in_any_order_and_company(record, tiny) -> None:
    tabulate = tiny.tables("bit_aware")

    def one_by_one_backwards(expressions: list[str]):
        return [tabulate([expression])[0] for expression in reversed(expressions)][::-1]

    search = tiny.search(tables=one_by_one_backwards)
    assert Record(search, 4).comparable()[0] == [
        row for row in record.comparable()[0] if row.generation < 4
    ]


@pytest.mark.parametrize(
    ("selection", "options"),
    [
        *((name, {}) for name in SELECTIONS),
        ("diversity", {"screening": False}),
        ("diversity", {"prioritisation": False}),
        ("emq", {"seeds": ("mean(square(quantization_perturbation))",), "samples": 20}),
    ],
)
def test_a_search_taken_up_after_any_generation_goes_on_as_if_never_stopped(
    selection, options, tiny
) -> None:
    whole = Record(tiny.search(selection=selection, population=6, **options), 5)
    for stopped in (1, 2, 4):
        part = Record(tiny.search(selection=selection, population=6, **options), 0)
        part.generations = whole.generations[:stopped]
        part.individuals = [row for row in whole.individuals if row.generation < stopped]
        part.search.restore(part.individuals, part.generations)
        part.advance(5 - stopped)
        assert part.comparable() == whole.comparable()
        assert part.front() == whole.front()
        assert part.search.evaluations == whole.search.evaluations
        assert part.search.logbook == whole.search.logbook


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_set_with_a_single_formula_never_stalls(selection, tiny, write_set) -> None:
    single = write_set(statistics=["quantization_mse"], operators=["abs"])
    record = Record(tiny.search(single, selection=selection, population=4, attempts=5), 3)
    assert record.search.evaluations == 1
    assert all(len(row.population) == 4 for row in record.generations[1:])
    assert len({row.training_tau for row in record.accepted}) == 1
    assert len({row.canonical for row in record.accepted}) == 1
    assert record.search.is_exhausted


def test_after_so_many_failures_a_duplicate_enters_with_its_known_fitness(tiny, write_set) -> None:
    few = write_set(statistics=["quantization_mse"], operators=["abs", "log", "exp"])
    record = Record(
        tiny.search(few, selection="tournament", population=6, attempts=7, max_depth=2), 4
    )
    places = defaultdict(list)
    for row in record.individuals:
        places[row.generation, row.place].append(row)
    entered = [rows[-1] for rows in places.values() if rows[-1].attempt == 7]
    assert entered
    known = {}
    for row in record.accepted:
        assert known.setdefault(row.canonical, row.training_tau) == row.training_tau
    assert record.search.evaluations < len(record.accepted)


@pytest.mark.parametrize("damage", ["negated", "of another formula", "no table any more"])
def test_a_search_is_not_resumed_with_tables_that_are_not_those_of_its_formulas(
    damage, tiny, record
) -> None:
    best = max(record.accepted, key=lambda row: (row.training_tau, -row.size, -row.id))
    search = tiny.search()
    tables, changed = search._evaluate, {}
    if damage == "no table any more":
        changed[best.expression] = Outcome((), "not finite", 0.0)
    else:
        (other,) = tables(["quantization_mse"])
        found = (-best.tables[0],) if damage == "negated" else other.tables
        changed[best.expression] = Outcome(found, None, 0.0)

    def tabulate(expressions):
        outcomes = zip(expressions, tables(expressions), strict=True)
        return [changed.get(expression, outcome) for expression, outcome in outcomes]

    search = tiny.search(tables=tabulate)
    with pytest.raises(RunError, match="no longer gives the table") as caught:
        search.restore(record.individuals, record.generations)
    assert best.expression in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_set_whose_every_tree_is_rejected_is_refused_in_one_line(tiny, write_set) -> None:
    hopeless = write_set(statistics=["bits"], operators=["abs", "square"])
    with pytest.raises(GpEmqError, match=r"'own'.*passes the screen.*no statistic") as caught:
        tiny.search(hopeless, population=4).step()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def loose(tiny) -> Record:
    """Four generations without screening."""
    return Record(tiny.search(screening=False), 4)


class TestWithoutScreening:
    def test_formulas_may_come_again_and_count_as_evaluations(self, loose) -> None:
        forms = [row.canonical for row in loose.accepted]
        assert len(set(forms)) < len(forms)
        assert loose.search.evaluations == len(loose.accepted)

    def test_constants_have_a_fitness_of_zero(self, loose) -> None:
        constant = [row for row in loose.accepted if np.ptp(*row.tables, axis=1).max() == 0]
        assert constant
        assert {row.training_tau for row in constant} == {0}

    def test_only_what_has_no_fitness_is_rejected(self, loose) -> None:
        reasons = {row.reason for row in loose.individuals} - {None}
        assert reasons <= {"not finite", "too large", "too deep", "no statistic"}


class TestSeeds:
    seed = "mean(multiply(fisher_diagonal, square(quantization_perturbation)))"

    def test_seeds_enter_the_first_generation_first(self, tiny) -> None:
        record = Record(tiny.search(seeds=(self.seed, "quantization_mse")), 1)
        first, second = record.accepted[:2]
        assert (first.operator, first.expression) == ("seed", self.seed)
        assert (second.operator, second.expression) == ("seed", "quantization_mse")
        assert {row.operator for row in record.accepted[2:]} == {"fresh"}

    def test_seeds_may_be_larger_than_the_screen_allows(self, tiny) -> None:
        record = Record(tiny.search(seeds=(self.seed, "bits"), max_size=3, max_depth=2), 1)
        assert [row.operator for row in record.accepted[:2]] == ["seed", "seed"]

    def test_a_seed_that_has_no_scores_leaves_its_place_to_a_random_tree(self, tiny) -> None:
        record = Record(tiny.search(seeds=("log(negate(bits))",)), 1)
        (seed,) = [row for row in record.individuals if row.operator == "seed"]
        assert (seed.reason, seed.place) == ("not finite", 0)
        assert len(record.accepted) == 10

    def test_a_seed_that_does_not_parse_is_refused_at_once(self, tiny) -> None:
        with pytest.raises(GpEmqError, match="unknown operator 'maen'"):
            tiny.search(seeds=("maen(quantization_perturbation)",))


def test_a_generation_may_be_cut_short(tiny) -> None:
    search = tiny.search(selection="random", population=5)
    counts = [search.step(most).evaluations for most in (None, 3, 0, None)]
    assert [b - a for a, b in itertools.pairwise(counts)] == [3, 0, 5]


def test_progress_is_told_of_each_round(tiny) -> None:
    told = []
    tiny.search(progress=lambda done, wanted: told.append((done, wanted))).step()
    assert told[-1] == (10, 10)
    assert told == sorted(told)


def test_classical_and_fixed_sets_are_searched_too(tiny) -> None:
    for name in ("emq", "sequential", "branched", "dag"):
        tiny.statistics.prepare(load_primitive_set(name).needs)
        record = Record(tiny.search(name, population=6), 2)
        assert len(record.generations[-1].population) == 6
        assert all(row.expression.startswith("times_bits(") for row in record.accepted)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_population_of_one_lives(selection, tiny) -> None:
    record = Record(tiny.search(selection=selection, population=1), 4)
    assert [len(row.population) for row in record.generations] == [1] * 4


def test_evolution_beats_its_beginning(tiny) -> None:
    record = Record(tiny.search(population=20), 8)
    assert record.generations[-1].best_training > record.generations[0].best_training
