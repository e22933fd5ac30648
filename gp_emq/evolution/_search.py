"""The loop: fill the places of a generation, select, and say what happened."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from deap import tools

from gp_emq.errors import PrimitiveSetError, RunError
from gp_emq.evolution._breeding import Breeder, Draft
from gp_emq.evolution._filling import Filler, Place, Tables
from gp_emq.evolution._fitness import KendallFitness
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._judging import is_same
from gp_emq.evolution._ledger import Ledger
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._randomness import stream
from gp_emq.evolution._reasons import FAILED
from gp_emq.evolution._selection import Selection, best_first, best_of, diversity
from gp_emq.evolution._settings import SearchSettings
from gp_emq.proxies import parse_expression
from gp_emq.store import GenerationRow, IndividualRow
from primitives import PrimitiveSet


@dataclass(frozen=True)
class Step:
    """What one generation adds to the store."""

    individuals: list[IndividualRow]
    generation: GenerationRow


class Search:
    """A search for proxies, one generation at a time.

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
        self._prioritisation = Prioritisation(enabled=settings.prioritisation)
        self._ledger = Ledger(primitive_set, self._prioritisation)
        self._filler = Filler(
            primitive_set=primitive_set,
            breeder=Breeder(
                primitive_set,
                selection,
                initial_depths=settings.initial_depths,
                crossover=settings.crossover,
            ),
            fitness=fitness,
            tables=tables,
            ledger=self._ledger,
            settings=settings,
            progress=progress,
        )
        self.population: list[Individual] = []
        self.hall_of_fame = tools.ParetoFront()
        self.logbook = tools.Logbook()
        self.statistics = tools.Statistics(key=attrgetter("tau"))
        self.statistics.register("best", max)
        self.statistics.register("median", np.median)

    @property
    def generation(self) -> int:
        """The latest generation; −1 before the initial population."""
        return self._ledger.generation

    @property
    def evaluations(self) -> int:
        """Fitness evaluations so far."""
        return self._filler.evaluations

    @property
    def proposals(self) -> int:
        """Individuals proposed so far."""
        return self._ledger.proposals

    @property
    def best(self) -> Individual:
        """The member of the population with the highest training tau."""
        return best_of(self.population)

    @property
    def is_exhausted(self) -> bool:
        """Whether the latest generation found nothing that was not seen before."""
        evaluations = self.logbook.select("nevals")
        return len(evaluations) > 1 and evaluations[-1] == evaluations[-2]

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
        self._ledger.begin(self.generation + 1)
        self.population.sort(key=best_first)
        weights = self._prioritisation.weights()
        newcomers = self._filler.fill(self._places(most), self.population, weights)
        if self.generation == 0:
            self.population = list(newcomers.values())
            self._check_population()
        else:
            rng = stream(self._settings.seed, self.generation, "survivors")
            self.population = self._selection.survivors(
                self.population, newcomers, self._settings.population, rng
            )
        self.hall_of_fame.update(list(newcomers.values()))
        rows = self._ledger.finish()
        return Step(rows, self._generation_row(rows, time.perf_counter() - start))

    def restore(
        self, individuals: Sequence[IndividualRow], generations: Sequence[GenerationRow]
    ) -> None:
        """Take a search up where its store says it stopped.

        Args:
            individuals: All rows of completed generations, in order of identifier.
            generations: All completed generations, in order.

        Raises:
            RunError: A formula of the front no longer gives the table that is stored with it.
        """
        last = generations[-1]
        self._ledger.restore(individuals, generation=last.generation, proposals=last.proposals)
        self._filler.evaluations = last.evaluations
        rows = {row.id: row for row in individuals}
        self.population = [self._restored(rows[identifier]) for identifier in last.population]
        best_of_size: dict[int, IndividualRow] = {}
        for row in individuals:
            best = best_of_size.get(row.size)
            if row.training_tau is not None and (
                best is None or row.training_tau > (best.training_tau or 0.0)
            ):
                best_of_size[row.size] = row
        self.hall_of_fame.update([self._restored(row) for row in best_of_size.values()])
        self._check_front()
        for generation in generations:
            self._log(generation)

    def _check_front(self) -> None:
        """Compare the front's tables, and with them their signs, with those of its formulas."""
        front = list(self.hall_of_fame)
        outcomes = self._tables([individual.expression for individual in front])
        for individual, outcome in zip(front, outcomes, strict=True):
            if outcome.reason is not None and outcome.reason.startswith(FAILED):
                continue
            if outcome.table is None or not is_same(outcome.table, individual.table):
                raise RunError(
                    f"individual {individual.identifier} of the run, {individual.expression}, no "
                    f"longer gives the table that is stored with it: primitive set "
                    f"{self._set.name!r} has changed, or an earlier version made the run; start a "
                    "new one instead"
                )

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

    def _check_population(self) -> None:
        if self.population:
            return
        rows = self._ledger.rows
        counts = Counter(row.reason for row in rows)
        reasons = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
        raise PrimitiveSetError(
            f"primitive set {self._set.name!r}: none of {len(rows)} random individuals "
            f"passes the screen: {reasons or 'none was asked for'}"
        )

    def _places(self, most: int | None) -> list[Place]:
        size = self._settings.population
        if self.generation == 0:
            places = [Place(number, is_offspring=False) for number in range(size)]
            for place, seed in zip(places, self._seeds, strict=False):
                place.seed = seed
        else:
            offspring = self._selection.offspring(size)
            places = [
                Place(number, is_offspring=number < offspring)
                for number in range(offspring + self._selection.fresh(size))
            ]
        return places if most is None else places[:most]

    def _generation_row(self, rows: Sequence[IndividualRow], seconds: float) -> GenerationRow:
        taus = self.statistics.compile(self.population)
        rejections = Counter(row.reason for row in rows if row.reason is not None)
        row = GenerationRow(
            generation=self.generation,
            population=tuple(individual.identifier for individual in self.population),
            best_training=float(taus["best"]),
            median_training=float(taus["median"]),
            best_validation=self.best.measurement.validation,
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
