"""The loop: propose, screen, measure, select; one generation at a time."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from deap import tools

from gp_emq.errors import PrimitiveSetError
from gp_emq.evolution import _screening as screening
from gp_emq.evolution._archive import Archive
from gp_emq.evolution._breeding import Breeder, Draft
from gp_emq.evolution._fitness import KendallFitness
from gp_emq.evolution._individual import FloatArray, Individual, Measurement
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._randomness import stream
from gp_emq.evolution._screening import StructureScreen, depth_of
from gp_emq.evolution._selection import Newcomers, Selection, best_of, diversity
from gp_emq.evolution._tables import Outcome
from gp_emq.proxies import Node, parse_expression, simplified, to_expression
from gp_emq.store import GenerationRow, IndividualRow
from primitives import PrimitiveSet

Tables = Callable[[list[str]], list[Outcome]]
"""What evaluates: expressions in, screened tables out, in the same order."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What shapes a search, besides its parts.

    Args:
        population: Members of the population.
        seed: Seed of everything random.
        max_depth: Most levels of a tree below its root.
        max_size: Most nodes of a tree.
        initial_depths: Smallest and largest depth of fresh trees.
        crossover: Share of offspring made by crossover; the rest are mutations.
        attempts: Failed attempts to fill a place before a duplicate may enter.
        screening: Whether individuals are screened before their fitness is computed.
        prioritisation: Whether operators that keep failing are drawn less often.
    """

    population: int = 60
    seed: int = 0
    max_depth: int = 8
    max_size: int = 30
    initial_depths: tuple[int, int] = (1, 5)
    crossover: float = 0.5
    attempts: int = 50
    screening: bool = True
    prioritisation: bool = True


@dataclass(frozen=True)
class Step:
    """What one generation adds to the store."""

    individuals: list[IndividualRow]
    generation: GenerationRow


@dataclass
class _Place:
    """A place to be filled: how often it was tried, and what may enter if all else fails."""

    number: int
    is_offspring: bool
    seed: Draft | None = None
    attempts: int = 0
    fallback: tuple[Draft, str, str, int] | None = None


@dataclass(frozen=True)
class _Candidate:
    """A draft that passed the cheap screens and waits for its table."""

    place: _Place
    attempt: int
    draft: Draft
    expression: str
    canonical: str
    seconds: float


class Search:
    """A search for proxies, one generation at a time.

    Every generation proposes in rounds: each open place makes trees until one passes the screens
    that cost nothing, then all of them are evaluated side by side, then what came back is
    judged in order of place. What is evaluated where and when changes nothing.

    Args:
        primitive_set: The operators and terminals.
        fitness: Measures tables.
        tables: Evaluates expressions.
        selection: Parents and survivors.
        settings: The rest.
        seeds: Expressions that enter the first generation, exempt from the structural screen.
        progress: Called with the number of individuals accepted so far in this generation, and
            how many are wanted.
    """

    def __init__(
        self,
        *,
        primitive_set: PrimitiveSet,
        fitness: KendallFitness,
        tables: Tables,
        selection: Selection,
        settings: SearchSettings,
        seeds: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._set = primitive_set
        self._fitness = fitness
        self._tables = tables
        self._selection = selection
        self._settings = settings
        self._seeds = [Draft(list(parse_expression(text, primitive_set)), "seed") for text in seeds]
        self._progress = progress
        self._structure = StructureScreen(primitive_set, settings.max_size, settings.max_depth)
        self._breeder = Breeder(
            primitive_set,
            selection,
            initial_depths=settings.initial_depths,
            crossover=settings.crossover,
        )
        self._prioritisation = Prioritisation(enabled=settings.prioritisation)
        self._archive = Archive()
        self._known: dict[int, FloatArray] = {}
        self._rows: list[IndividualRow] = []
        self._trees: dict[int, list[Node]] = {}
        self._next = 0
        self.population: list[Individual] = []
        self.hall_of_fame = tools.ParetoFront()
        self.logbook = tools.Logbook()
        self.generation = -1
        self.evaluations = 0
        self.proposals = 0

    def step(self, most: int | None = None) -> Step:
        """Make one generation; the first call makes the initial population.

        Args:
            most: Most individuals to evaluate; None for as many as the selection asks for.

        Returns:
            The rows to store.

        Raises:
            PrimitiveSetError: No individual of the initial population passes the screen.
        """
        start = time.perf_counter()
        self.generation += 1
        self._rows = []
        self.population.sort(key=lambda i: (-i.tau, len(i), i.identifier))
        weights = self._prioritisation.weights()
        newcomers = self._fill(self._places(most), weights)
        rng = stream(self._settings.seed, self.generation, "survivors")
        if self.generation == 0:
            self.population = list(newcomers.values())
            self._check_population()
        else:
            self.population = self._selection.survivors(
                self.population, newcomers, self._settings.population, rng
            )
        self.hall_of_fame.update(list(newcomers.values()))
        for row in self._rows:
            self._count(row)
        self._trees.clear()
        return Step(self._rows, self._generation_row(time.perf_counter() - start))

    def restore(
        self, individuals: Sequence[IndividualRow], generations: Sequence[GenerationRow]
    ) -> None:
        """Take a search up where its store says it stopped.

        Args:
            individuals: All rows of completed generations, in order of identifier.
            generations: All completed generations, in order.
        """
        last = generations[-1]
        members = set(last.population)
        best_of_size: dict[int, IndividualRow] = {}
        restored: dict[int, Individual] = {}
        for row in individuals:
            self._remember(row)
            self._count(row)
            if row.training_tau is not None:
                best = best_of_size.get(row.size)
                if best is None or row.training_tau > (best.training_tau or 0.0):
                    best_of_size[row.size] = row
            if row.id in members:
                restored[row.id] = self._restored(row)
        self.population = [restored[identifier] for identifier in last.population]
        self.hall_of_fame.update([self._restored(row) for row in best_of_size.values()])
        for generation in generations:
            self._log(generation)
        self._next = individuals[-1].id + 1
        self.generation = last.generation
        self.evaluations = last.evaluations
        self.proposals = last.proposals

    @property
    def best(self) -> Individual:
        """The member of the population with the highest training tau."""
        return best_of(self.population)

    @property
    def is_exhausted(self) -> bool:
        """Whether the latest generation found nothing that was not seen before."""
        evaluations = self.logbook.select("nevals")
        return len(evaluations) > 1 and evaluations[-1] == evaluations[-2]

    def _check_population(self) -> None:
        if self.population:
            return
        counts = Counter(row.reason for row in self._rows)
        reasons = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
        raise PrimitiveSetError(
            f"primitive set {self._set.name!r}: none of {len(self._rows)} random individuals "
            f"passes the screen: {reasons or 'none was asked for'}"
        )

    def _places(self, most: int | None) -> list[_Place]:
        size = self._settings.population
        if self.generation == 0:
            places = [_Place(number, is_offspring=False) for number in range(size)]
            for place, seed in zip(places, self._seeds, strict=False):
                place.seed = seed
        else:
            offspring = self._selection.offspring(size)
            places = [
                _Place(number, is_offspring=number < offspring)
                for number in range(offspring + self._selection.fresh(size))
            ]
        return places if most is None else places[:most]

    def _fill(self, places: list[_Place], weights: dict[str, float]) -> Newcomers:
        wanted, newcomers = len(places), {}
        open_places = places
        while open_places:
            candidates, exhausted = self._candidates(open_places, weights)
            outcomes = self._tables([candidate.expression for candidate in candidates])
            measured = iter(
                self._fitness.measure([o.table for o in outcomes if o.table is not None])
            )
            still_open = []
            for candidate, outcome in zip(candidates, outcomes, strict=True):
                measurement = next(measured) if outcome.table is not None else None
                individual = self._judge(candidate, outcome, measurement)
                if individual is not None:
                    newcomers[candidate.place.number] = individual
                elif candidate.place.attempts < self._settings.attempts:
                    still_open.append(candidate.place)
                else:
                    exhausted.append(candidate.place)
            for place in exhausted:
                individual = self._fall_back(place)
                if individual is not None:
                    newcomers[place.number] = individual
            open_places = still_open
            if self._progress is not None:
                self._progress(len(newcomers), wanted)
        return dict(sorted(newcomers.items()))

    def _candidates(
        self, places: list[_Place], weights: dict[str, float]
    ) -> tuple[list[_Candidate], list[_Place]]:
        """Propose for each place until something passes the cheap screens."""
        candidates: list[_Candidate] = []
        exhausted: list[_Place] = []
        pending: dict[str, _Place] = {}
        for place in places:
            while place.attempts < self._settings.attempts:
                start = time.perf_counter()
                draft = self._draft(place, weights)
                candidate = self._cheaply_screened(place, draft, pending, start)
                place.attempts += 1
                if candidate is not None:
                    pending[candidate.canonical] = place
                    candidates.append(candidate)
                    break
            else:
                exhausted.append(place)
        return candidates, exhausted

    def _draft(self, place: _Place, weights: dict[str, float]) -> Draft:
        if place.seed is not None:
            seed, place.seed = place.seed, None
            return seed
        rng = stream(self._settings.seed, self.generation, place.number, place.attempts)
        if place.is_offspring:
            return self._breeder.offspring(self.population, rng, weights)
        return self._breeder.fresh(rng, weights)

    def _cheaply_screened(
        self, place: _Place, draft: Draft, pending: dict[str, _Place], start: float
    ) -> _Candidate | None:
        nodes, canonical = simplified(draft.nodes, self._set)
        if self._settings.screening and draft.operator != "seed":
            draft = replace(draft, nodes=nodes)
        expression = to_expression(draft.nodes, self._set)
        reason = None if draft.operator == "seed" else self._structure.reason(draft.nodes)
        if reason is None and self._settings.screening:
            seen = self._archive.seen(canonical)
            if seen is not None:
                place.fallback = (draft, expression, canonical, seen)
            if seen is not None or canonical in pending or self._archive.is_rejected(expression):
                reason = screening.EQUIVALENT
        seconds = time.perf_counter() - start
        candidate = _Candidate(place, place.attempts, draft, expression, canonical, seconds)
        if reason is None:
            return candidate
        self._record(candidate, reason, None, seconds)
        return None

    def _judge(
        self, candidate: _Candidate, outcome: Outcome, measurement: Measurement | None
    ) -> Individual | None:
        seconds = candidate.seconds + outcome.seconds
        if outcome.table is None or measurement is None:
            self._record(candidate, outcome.reason, None, seconds)
            return None
        if self._settings.screening:
            same = self._archive.same_table(outcome.table)
            if same is not None:
                candidate.place.fallback = (
                    candidate.draft, candidate.expression, candidate.canonical, same,
                )  # fmt: skip
                self._record(candidate, screening.DUPLICATE, outcome.table, seconds)
                return None
        self.evaluations += 1
        return self._accept(candidate, outcome.table, measurement, seconds)

    def _fall_back(self, place: _Place) -> Individual | None:
        """Let a duplicate enter with its cached fitness, so that small sets never stall."""
        if place.fallback is None:
            return None
        draft, expression, canonical, original = place.fallback
        candidate = _Candidate(place, place.attempts, draft, expression, canonical, 0.0)
        table = self._known[original]
        return self._accept(candidate, table, self._fitness.measure([table])[0], 0.0)

    def _accept(
        self,
        candidate: _Candidate,
        table: FloatArray,
        measurement: Measurement,
        seconds: float,
    ) -> Individual:
        individual = Individual(
            candidate.draft.nodes,
            expression=candidate.expression,
            canonical=candidate.canonical,
            table=table,
            measurement=measurement,
            identifier=self._next,
            generation=self.generation,
        )
        self._record(candidate, None, table, seconds, individual)
        return individual

    def _record(
        self,
        candidate: _Candidate,
        reason: str | None,
        table: FloatArray | None,
        seconds: float,
        individual: Individual | None = None,
    ) -> None:
        measured = individual.measurement if individual else None
        row = IndividualRow(
            id=self._next,
            generation=self.generation,
            place=candidate.place.number,
            attempt=candidate.attempt,
            operator=candidate.draft.operator,
            parents=candidate.draft.parents,
            expression=candidate.expression,
            canonical=candidate.canonical,
            size=len(candidate.draft.nodes),
            depth=depth_of(candidate.draft.nodes),
            training_tau=measured.training if measured else None,
            validation_tau=measured.validation if measured else None,
            sign=measured.sign if measured else None,
            reason=reason,
            seconds=seconds,
            scores_table=table,
        )
        self._trees[row.id] = candidate.draft.nodes
        self._next += 1
        self.proposals += 1
        self._rows.append(row)
        self._remember(row)

    def _remember(self, row: IndividualRow) -> None:
        """Put a row into the archive; the same whether it is new or restored."""
        if row.reason is None:
            assert row.scores_table is not None  # noqa: S101 - accepted rows have their table
            self._known[row.id] = row.scores_table
            if self._archive.seen(row.canonical) is None:
                self._archive.accept(row.id, row.canonical, row.scores_table)
        elif row.reason == screening.DUPLICATE:
            assert row.scores_table is not None  # noqa: S101 - so have duplicates
            same = self._archive.same_table(row.scores_table)
            if same is not None:
                self._archive.alias(same, row.canonical)
        elif row.reason not in _CHEAP:
            self._archive.reject(row.expression)

    def _count(self, row: IndividualRow) -> None:
        """Tell the prioritisation; at the end of a generation, so that order is no matter."""
        if row.reason in _CHEAP:
            return
        tree = self._trees.get(row.id) or parse_expression(row.expression, self._set)
        failed = row.reason in screening.INVALID
        self._prioritisation.record(tree, passed=not failed)

    def _restored(self, row: IndividualRow) -> Individual:
        assert row.scores_table is not None  # noqa: S101 - only accepted rows are restored
        return Individual(
            list(parse_expression(row.expression, self._set)),
            expression=row.expression,
            canonical=row.canonical,
            table=row.scores_table,
            measurement=self._fitness.measure([row.scores_table])[0],
            identifier=row.id,
            generation=row.generation,
        )

    def _generation_row(self, seconds: float) -> GenerationRow:
        taus = [individual.tau for individual in self.population]
        rejections = Counter(row.reason for row in self._rows if row.reason is not None)
        row = GenerationRow(
            generation=self.generation,
            population=tuple(individual.identifier for individual in self.population),
            best_training=max(taus, default=0.0),
            median_training=float(np.median(taus)) if taus else 0.0,
            best_validation=self.best.measurement.validation if taus else 0.0,
            diversity=diversity(self.population),
            evaluations=self.evaluations,
            proposals=self.proposals,
            rejections=dict(sorted(rejections.items())),
            seconds=seconds,
        )
        self._log(row)
        return row

    def _log(self, row: GenerationRow) -> None:
        self.logbook.record(
            gen=row.generation,
            nevals=row.evaluations,
            best=row.best_training,
            median=row.median_training,
            validation=row.best_validation,
            diversity=row.diversity,
        )


_CHEAP = frozenset({screening.SIZE, screening.DEPTH, screening.NO_STATISTIC, screening.EQUIVALENT})
"""Reasons that cost no evaluation."""
