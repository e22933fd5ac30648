"""Proposals: trees made by DEAP's toolbox, with every choice drawn from a stream of its own."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deap import base

from gp_emq.evolution._generation import generate
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._objective import Measurement, Tables
from gp_emq.evolution._screening import depth_of
from gp_emq.evolution._selection import Selection
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._variation import cx_one_point, mutate
from gp_emq.proxies import Node
from gp_emq.store import BenchRow, IndividualRow
from primitives import PrimitiveSet

Tree = tuple[list[Node], str, tuple[int, ...]]
"""Nodes in prefix order, the operator that made them, and the identifiers of the parents."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A tree that asks for a place in a generation.

    Args:
        generation: The generation.
        place: The place it asks for.
        attempt: How many were rejected for that place before it.
        nodes: The tree, in prefix order.
        operator: What made it: ``fresh``, ``crossover``, ``mutation`` or ``seed``.
        parents: Identifiers of the individuals it was made from.
        expression: The tree as text, which is what is evaluated.
        canonical: Its canonical form.
        seconds: What making it and the cheap screens took.
    """

    generation: int
    place: int
    attempt: int
    nodes: list[Node]
    operator: str
    parents: tuple[int, ...]
    expression: str
    canonical: str
    seconds: float

    def row(
        self,
        identifier: int,
        networks: Sequence[str],
        *,
        reason: str | None,
        tables: Tables = (),
        measurement: Measurement | None = None,
        seconds: float = 0.0,
    ) -> IndividualRow:
        """Give what the store keeps of it.

        Args:
            identifier: Its number in the search.
            networks: Names of the networks.
            reason: Why it was rejected; None if it was accepted.
            tables: Its sensitivity tables, where they were computed.
            measurement: What the objective found, if it was accepted.
            seconds: What its evaluation took.
        """
        taus = measurement.by_network if measurement else [(None, None)] * len(tables)
        return IndividualRow(
            id=identifier,
            generation=self.generation,
            place=self.place,
            attempt=self.attempt,
            operator=self.operator,
            parents=self.parents,
            expression=self.expression,
            canonical=self.canonical,
            size=len(self.nodes),
            depth=depth_of(self.nodes),
            training_tau=measurement.training if measurement else None,
            validation_tau=measurement.validation if measurement else None,
            sign=measurement.sign if measurement else None,
            reason=reason,
            seconds=self.seconds + seconds,
            benches=tuple(
                BenchRow(name, training_tau=training, validation_tau=validation, table=table)
                for name, table, (training, validation) in zip(networks, tables, taus, strict=False)
            ),
        )


def make_toolbox(
    primitive_set: PrimitiveSet, selection: Selection, settings: SearchSettings
) -> base.Toolbox:
    """Register how fresh trees and offspring are made.

    Returns:
        A toolbox of ``generate``, ``select``, ``mate`` and ``mutate``.
    """
    toolbox = base.Toolbox()
    toolbox.register("generate", generate, primitive_set, *settings.initial_depths)
    toolbox.register("select", selection.parent)
    toolbox.register("mate", cx_one_point)
    toolbox.register("mutate", mutate, primitive_set=primitive_set)
    return toolbox


def fresh(toolbox: base.Toolbox, rng: random.Random, weights: Mapping[str, float]) -> Tree:
    """Make a random tree; operators are drawn as often as the weights say."""
    return toolbox.generate(rng=rng, weights=weights), "fresh", ()


def offspring(
    toolbox: base.Toolbox,
    population: Sequence[Individual],
    crossover: float,
    rng: random.Random,
    weights: Mapping[str, float],
) -> Tree:
    """Make a tree from one or two members of a population sorted best first."""
    first: Individual = toolbox.select(population, rng)
    if rng.random() < crossover:
        second: Individual = toolbox.select(population, rng)
        child, _ = toolbox.mate(first, second, rng=rng)
        return child, "crossover", (first.identifier, second.identifier)
    return toolbox.mutate(first, rng=rng, weights=weights), "mutation", (first.identifier,)
