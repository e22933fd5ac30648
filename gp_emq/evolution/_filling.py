"""Filling the places of a generation: propose, screen, evaluate side by side, judge in order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gp_emq.evolution import _reasons as reasons
from gp_emq.evolution._breeding import Breeder, Draft
from gp_emq.evolution._fitness import KendallFitness
from gp_emq.evolution._individual import FloatArray, Individual, Measurement
from gp_emq.evolution._ledger import Candidate, Ledger
from gp_emq.evolution._randomness import stream
from gp_emq.evolution._screening import StructureScreen
from gp_emq.evolution._selection import Newcomers
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._tables import Outcome
from gp_emq.proxies import parse_expression, simplified, to_expression
from primitives import PrimitiveSet

Tables = Callable[[list[str]], list[Outcome]]
"""What evaluates: expressions in, screened tables out, in the same order."""


@dataclass
class Place:
    """A place to be filled.

    Args:
        number: Which one.
        is_offspring: Whether it is for an offspring, rather than for a fresh tree.
        seed: What its first attempt is, if not a random tree.
        attempts: How often it was tried.
        fallback: A duplicate, and the individual it repeats, which may enter if all else fails.
    """

    number: int
    is_offspring: bool
    seed: Draft | None = None
    attempts: int = 0
    fallback: tuple[Draft, int] | None = None


class Filler:
    """Fills the places of one generation after the other.

    It works in rounds: each open place makes trees until one passes the screens that cost
    nothing, then all of them are evaluated side by side, then what came back is judged in order
    of place. What is evaluated where and when changes nothing.

    Args:
        primitive_set: The operators and terminals.
        breeder: Makes trees.
        fitness: Measures tables.
        tables: Evaluates expressions.
        ledger: Where proposals are recorded.
        settings: Seed, limits, and whether to screen.
        progress: Called with the number of individuals accepted so far in this generation, and
            how many are wanted.
    """

    def __init__(
        self,
        *,
        primitive_set: PrimitiveSet,
        breeder: Breeder,
        fitness: KendallFitness,
        tables: Tables,
        ledger: Ledger,
        settings: SearchSettings,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._set = primitive_set
        self._breeder = breeder
        self._fitness = fitness
        self._tables = tables
        self._ledger = ledger
        self._settings = settings
        self._progress = progress
        self._structure = StructureScreen(primitive_set, settings.max_size, settings.max_depth)
        self.evaluations = 0

    def fill(
        self,
        places: Sequence[Place],
        population: Sequence[Individual],
        weights: dict[str, float],
    ) -> Newcomers:
        """Fill some places.

        Args:
            places: The places.
            population: Where parents come from, best first.
            weights: How often operators are drawn.

        Returns:
            Who enters, by number of place; a place for which every attempt failed stays empty.
        """
        newcomers: Newcomers = {}
        open_places = list(places)
        while open_places:
            waiting, exhausted = self._candidates(open_places, population, weights)
            outcomes = self._tables([candidate.expression for _, candidate in waiting])
            found = [outcome.table for outcome in outcomes if outcome.table is not None]
            measurements = iter(self._fitness.measure(found))
            open_places = []
            for (place, candidate), outcome in zip(waiting, outcomes, strict=True):
                measurement = next(measurements) if outcome.table is not None else None
                individual = self._judge(place, candidate, outcome, measurement)
                if individual is not None:
                    newcomers[place.number] = individual
                elif place.attempts < self._settings.attempts:
                    open_places.append(place)
                else:
                    exhausted.append(place)
            for place in exhausted:
                individual = self._fall_back(place)
                if individual is not None:
                    newcomers[place.number] = individual
            if self._progress is not None:
                self._progress(len(newcomers), len(places))
        return dict(sorted(newcomers.items()))

    def _candidates(
        self,
        places: Sequence[Place],
        population: Sequence[Individual],
        weights: dict[str, float],
    ) -> tuple[list[tuple[Place, Candidate]], list[Place]]:
        """Propose for each place until something passes the cheap screens."""
        waiting: list[tuple[Place, Candidate]] = []
        exhausted: list[Place] = []
        pending: set[str] = set()
        for place in places:
            while place.attempts < self._settings.attempts:
                start = time.perf_counter()
                draft = self._draft(place, population, weights)
                candidate = self._cheaply_screened(place, draft, pending, start)
                place.attempts += 1
                if candidate is not None:
                    pending.add(candidate.canonical)
                    waiting.append((place, candidate))
                    break
            else:
                exhausted.append(place)
        return waiting, exhausted

    def _draft(
        self, place: Place, population: Sequence[Individual], weights: dict[str, float]
    ) -> Draft:
        if place.seed is not None:
            seed, place.seed = place.seed, None
            return seed
        generation = self._ledger.generation
        rng = stream(self._settings.seed, generation, place.number, place.attempts)
        if place.is_offspring:
            return self._breeder.offspring(population, rng, weights)
        return self._breeder.fresh(rng, weights)

    def _cheaply_screened(
        self, place: Place, draft: Draft, pending: set[str], start: float
    ) -> Candidate | None:
        nodes, canonical = simplified(draft.nodes, self._set)
        if self._settings.screening and draft.operator != "seed":
            draft = replace(draft, nodes=nodes)
        expression = to_expression(draft.nodes, self._set)
        reason = None if draft.operator == "seed" else self._structure.reason(draft.nodes)
        repeats = None
        if reason is None and self._settings.screening:
            archive = self._ledger.archive
            repeats = archive.seen(canonical)
            if repeats is not None or canonical in pending or archive.is_rejected(expression):
                reason = reasons.EQUIVALENT
        seconds = time.perf_counter() - start
        candidate = Candidate(place.number, place.attempts, draft, expression, canonical, seconds)
        if repeats is not None:
            place.fallback = (candidate.draft, repeats)
        if reason is None:
            return candidate
        self._ledger.record(candidate, reason=reason, table=None, seconds=seconds)
        return None

    def _judge(
        self,
        place: Place,
        candidate: Candidate,
        outcome: Outcome,
        measurement: Measurement | None,
    ) -> Individual | None:
        seconds = candidate.seconds + outcome.seconds
        table = outcome.table
        if table is None or measurement is None:
            self._ledger.record(candidate, reason=outcome.reason, table=None, seconds=seconds)
            return None
        if self._settings.screening:
            repeats = self._ledger.archive.same_table(table)
            if repeats is not None:
                place.fallback = (candidate.draft, repeats)
                self._ledger.record(
                    candidate, reason=reasons.DUPLICATE, table=table, seconds=seconds
                )
                return None
        self.evaluations += 1
        return self._accept(candidate, table, measurement, seconds)

    def _fall_back(self, place: Place) -> Individual | None:
        """Let what a duplicate repeats enter once more, so that small sets never stall.

        It enters as it was accepted: the duplicate's own formula may be its negation, or differ
        from it in the last digits, so table, sign and fitness are not the duplicate's.
        """
        if place.fallback is None:
            return None
        draft, repeats = place.fallback
        known = self._ledger.accepted(repeats)
        nodes = list(parse_expression(known.expression, self._set))
        candidate = Candidate(
            place.number,
            place.attempts,
            replace(draft, nodes=nodes),
            known.expression,
            known.canonical,
            seconds=0.0,
        )
        return self._accept(candidate, known.table, self._fitness.measure([known.table])[0], 0.0)

    def _accept(
        self,
        candidate: Candidate,
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
            identifier=self._ledger.next_identifier,
            generation=self._ledger.generation,
        )
        self._ledger.record(
            candidate, reason=None, table=table, seconds=seconds, measurement=measurement
        )
        return individual
