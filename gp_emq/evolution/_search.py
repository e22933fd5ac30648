"""The loop: ask for proposals, evaluate them, tell what they came to, and let selection decide."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np
from deap import tools

from gp_emq.evolution import _reasons as reasons
from gp_emq.evolution._account import (
    best_of_sizes,
    check_first_population,
    check_front,
    generation_row,
    log,
)
from gp_emq.evolution._archive import Archive
from gp_emq.evolution._bars import Bars
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._islands import Islands
from gp_emq.evolution._objective import Frugal, Measurement, Objective, ObjectiveOfParts, Tables
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._proposal import Proposal, make_toolbox
from gp_emq.evolution._proposer import Proposer
from gp_emq.evolution._randomness import stream
from gp_emq.evolution._selection import Newcomers, Selection, best_first, best_of
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._tables import NOT_EVALUATED, Outcome
from gp_emq.proxies import Node, parse_expression
from gp_emq.store import GenerationRow, IndividualRow
from primitives import PrimitiveSet

Evaluate = Callable[[list[str]], Sequence[Outcome]]
"""What evaluates: expressions in, screened tables out, in the same order."""


class Search:
    """A search for proxies: `ask` it for proposals, evaluate them, and `tell` it the outcomes.

    A generation is a number of places to be filled. Each `ask` gives a proposal for every place
    that is still open, after the screens that cost nothing; `tell` screens and measures what came
    back, in order of place, so that what is evaluated where and when changes nothing. `step` does
    a whole generation, with the evaluator that the search was made with.

    Args:
        primitive_set: The operators and terminals.
        objective: Measures what the evaluator gives.
        evaluate: Evaluates expressions on the objective's networks.
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
        objective: Objective,
        evaluate: Evaluate,
        selection: Selection,
        settings: SearchSettings,
        seeds: Sequence[str] = (),
        progress: Callable[[int, int], None] = lambda done, wanted: None,  # noqa: ARG005
    ) -> None:
        self._set = primitive_set
        self._objective = objective
        self._evaluate = evaluate
        self._selection = selection
        self._settings = settings
        self._progress = progress
        size = settings.population
        self._islands = Islands(
            settings.islands, size, selection.offspring(size), selection.fresh(size)
        )
        self._breeding: list[list[Individual]] = []
        self._bars = Bars(selection, self._islands)
        self._prioritisation = Prioritisation(enabled=settings.prioritisation)
        self._archive = Archive()
        self._attempts: dict[int, int] = {}
        self._open: list[int] = []
        self._waiting: list[Proposal] = []
        self._exhausted: list[int] = []
        self._repeats: dict[int, tuple[Proposal, int]] = {}
        self._newcomers: Newcomers = {}
        self._trees: list[list[Node]] = []
        self.toolbox = make_toolbox(primitive_set, selection, settings)
        self._proposer = Proposer(
            primitive_set,
            settings=settings,
            toolbox=self.toolbox,
            islands=self._islands,
            archive=self._archive,
            seeds=[self._parsed(text) for text in seeds],
        )
        self.rows: list[IndividualRow] = []
        self.generation = -1
        self.evaluations = 0
        self.proposals = 0
        self.population: list[Individual] = []
        self.hall_of_fame = tools.ParetoFront()
        self.logbook = tools.Logbook()
        self.statistics = tools.Statistics(key=attrgetter("tau"))
        self.statistics.register("best", max)
        self.statistics.register("median", np.median)

    @property
    def best(self) -> Individual:
        """The member of the population with the highest training tau."""
        return best_of(self.population)

    @property
    def is_exhausted(self) -> bool:
        """Whether the latest generation found nothing that was not seen before."""
        evaluations = self.logbook.select("nevals")
        return len(evaluations) > 1 and evaluations[-1] == evaluations[-2]

    def step(self, most: int | None = None) -> GenerationRow:
        """Make one generation; the first call makes the initial population.

        Args:
            most: Most individuals to evaluate; None for as many as the selection asks for.

        Returns:
            The row of the generation; `rows` are those of everyone proposed in it.

        Raises:
            PrimitiveSetError: No individual of the initial population passes the screen.
        """
        start = time.perf_counter()
        self.begin(most)
        while proposals := self.ask():
            self.tell(self._evaluate([proposal.expression for proposal in proposals]))
        self.finish()
        row = generation_row(
            self.generation,
            self.population,
            self.rows,
            taus=self.statistics.compile(self.population),
            evaluations=self.evaluations,
            proposals=self.proposals,
            seconds=time.perf_counter() - start,
        )
        log(self.logbook, row)
        return row

    def begin(self, most: int | None = None) -> None:
        """Open the places of the next generation."""
        self.generation += 1
        self.rows, self._trees = [], []
        self.population.sort(key=best_first)
        self._breeding = self._islands.split(self.population)
        if self._settings.frugal:
            self._bars.begin(self.generation, self._breeding, list(self.hall_of_fame))
        weights = self._prioritisation.weights()
        self._proposer.begin(self.generation, self.population, self._breeding, weights)
        wanted = size = self._settings.population
        if self.generation > 0:
            wanted = self._selection.offspring(size) + self._selection.fresh(size)
        self._open = list(range(wanted))[:most]
        self._attempts = dict.fromkeys(self._open, 0)
        self._exhausted, self._repeats, self._newcomers = [], {}, {}

    def ask(self) -> list[Proposal]:
        """Propose for each open place until something passes the screens that cost nothing.

        Returns:
            At most one proposal for each place; none if the generation is complete.
        """
        self._waiting = []
        pending: set[str] = set()
        for place in self._open:
            while self._attempts[place] < self._settings.attempts:
                proposal = self._proposed(place, pending)
                self._attempts[place] += 1
                if proposal is not None:
                    pending.add(proposal.row.canonical)
                    self._waiting.append(proposal)
                    break
            else:
                self._exhausted.append(place)
        if self._open and not self._waiting:
            self.tell([])
        return self._waiting

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Judge what the latest proposals came to.

        Args:
            outcomes: One for each proposal, in the order that `ask` gave them.
        """
        self._open = []
        judged = zip(self._waiting, outcomes, self._measurements(outcomes), strict=True)
        for proposal, outcome, measurement in judged:
            if self._enters(proposal, outcome, measurement):
                continue
            place = proposal.row.place
            exhausted = self._attempts[place] >= self._settings.attempts
            (self._exhausted if exhausted else self._open).append(place)
        for place in self._exhausted:
            self._enter_repeated(place)
        self._exhausted = []
        self._progress(len(self._newcomers), len(self._attempts))

    def finish(self) -> None:
        """Let selection choose among the population and the newcomers."""
        if self.generation > 0 and self.generation % self._settings.migration_every == 0:
            self._migrate()
        newcomers = {
            place: one
            for place, one in sorted(self._newcomers.items())
            if one.measurement.is_complete
        }
        if self.generation == 0:
            self.population = list(newcomers.values())
            check_first_population(self.population, self.rows, self._set.name)
        else:
            self.population = self._survivors(newcomers)
        self.hall_of_fame.update(list(newcomers.values()))
        # At the end of a generation, so that the order of evaluation is no matter.
        for row, tree in zip(self.rows, self._trees, strict=True):
            self._prioritisation.learn(tree, row.reason)

    def _migrate(self) -> None:
        """Let the best of each island be born anew on the next one."""
        for place, one in self._islands.arrivals(self._breeding).items():
            row = replace(
                one.row,
                generation=self.generation,
                place=place,
                attempt=0,
                operator="migration",
                parents=(one.identifier,),
                seconds=0.0,
            )
            known = replace(NOT_EVALUATED, tables=row.tables)
            self._accept(Proposal(list(one), row), known, one.measurement)

    def _survivors(self, newcomers: Newcomers) -> list[Individual]:
        """Let selection choose on each island."""
        several = self._islands.count > 1
        found: list[Individual] = []
        arrived = self._islands.newcomers(newcomers)
        for island, members in enumerate(self._breeding):
            labels = (island,) if several else ()
            rng = stream(self._settings.seed, self.generation, "survivors", *labels)
            size = self._islands.members(island)
            found += self._selection.survivors(members, arrived[island], size, rng)
        return found

    def restore(
        self, individuals: Sequence[IndividualRow], generations: Sequence[GenerationRow]
    ) -> None:
        """Take a search up where its store says it stopped.

        Args:
            individuals: All rows of completed generations, in order of identifier.
            generations: All completed generations, in order.

        Raises:
            RunError: A formula of the front no longer gives the tables that are stored with it.
        """
        for row in individuals:
            self._archive.remember(row)
            if reasons.is_telling(row.reason):
                self._prioritisation.learn(self._parsed(row.expression), row.reason)
        last = generations[-1]
        self.generation, self.proposals = last.generation, last.proposals
        self.evaluations = last.evaluations
        self.population = [self._restored(self._archive[number]) for number in last.population]
        self.hall_of_fame.update([self._restored(row) for row in best_of_sizes(individuals)])
        front = list(self.hall_of_fame)
        check_front(front, self._evaluate([one.expression for one in front]), self._set.name)
        for generation in generations:
            log(self.logbook, generation)

    def _restored(self, row: IndividualRow) -> Individual:
        (measurement,) = self._objective.measure([row.tables])
        return Individual(self._parsed(row.expression), row, measurement)

    def _measurements(self, outcomes: Sequence[Outcome]) -> list[Measurement | None]:
        """Measure what passed, all but what whoever evaluated it has ranked already."""
        objective = self._objective
        parts = objective if isinstance(objective, ObjectiveOfParts) else None
        unranked = [
            (proposal, one.tables)
            for proposal, one in zip(self._waiting, outcomes, strict=True)
            if one.tables and not (parts and one.figures)
        ]
        measured = iter(self._measured(unranked))
        return [
            None
            if not one.tables
            else parts.measured(one.tables, one.figures)
            if parts and one.figures
            else next(measured)
            for one in outcomes
        ]

    def _measured(self, proposed: Sequence[tuple[Proposal, Tables]]) -> list[Measurement]:
        """Measure tables, where that is asked as far as their formulas may win."""
        tables = [own for _, own in proposed]
        if not (self._settings.frugal and self._bars.most and isinstance(self._objective, Frugal)):
            return self._objective.measure(tables)
        bars = [self._bars.bar(one.row.place, len(one.nodes)) for one, _ in proposed]
        return self._objective.measure_above(tables, bars, self._bars.most)

    def _parsed(self, expression: str) -> list[Node]:
        return list(parse_expression(expression, self._set))

    def _proposed(self, place: int, pending: set[str]) -> Proposal | None:
        """Make a proposal; None if a screen that costs nothing rejects it."""
        made = self._proposer.propose(place, self._attempts[place], pending)
        if made.repeats is not None:
            self._repeats[place] = made.proposal, made.repeats
        if made.reason is None:
            return made.proposal
        self._record(made.proposal, reason=made.reason)
        return None

    def _enters(
        self, proposal: Proposal, outcome: Outcome, measurement: Measurement | None
    ) -> bool:
        """Accept or reject what was evaluated."""
        if measurement is None:
            self._record(proposal, reason=outcome.reason, outcome=outcome)
            return False
        if self._settings.screening:
            repeats = self._archive.same_tables(outcome.tables)
            if repeats is not None:
                self._repeats[proposal.row.place] = proposal, repeats
                self._record(proposal, reason=reasons.DUPLICATE, outcome=outcome)
                return False
        self.evaluations += 1
        self._accept(proposal, outcome, measurement)
        return True

    def _enter_repeated(self, place: int) -> None:
        """Let what a duplicate repeats enter once more, so that small sets never stall.

        It enters as it was accepted: the duplicate's own formula may be its negation, or differ
        from it in the last digits, so tables, sign and fitness are not the duplicate's.
        """
        if place not in self._repeats:
            return
        duplicate, identifier = self._repeats[place]
        known = self._archive[identifier]
        row = replace(
            known,
            generation=self.generation,
            place=place,
            attempt=self._attempts[place],
            operator=duplicate.row.operator,
            parents=duplicate.row.parents,
            seconds=0.0,
        )
        proposal = Proposal(self._parsed(known.expression), row)
        (measurement,) = self._measured([(proposal, known.tables)])
        self._accept(proposal, replace(NOT_EVALUATED, tables=known.tables), measurement)

    def _accept(self, proposal: Proposal, outcome: Outcome, measurement: Measurement) -> None:
        row = self._record(proposal, reason=None, outcome=outcome, measurement=measurement)
        self._newcomers[row.place] = Individual(proposal.nodes, row, measurement)

    def _record(
        self,
        proposal: Proposal,
        *,
        reason: str | None,
        outcome: Outcome = NOT_EVALUATED,
        measurement: Measurement | None = None,
    ) -> IndividualRow:
        judged = proposal.judged(reason, outcome, measurement, self._objective.networks)
        row = replace(judged, id=self.proposals)
        self.proposals += 1
        self.rows.append(row)
        self._trees.append(proposal.nodes)
        self._archive.remember(row)
        return row
