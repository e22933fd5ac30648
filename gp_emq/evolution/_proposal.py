"""Proposals: trees made by DEAP's toolbox, with every choice drawn from a stream of its own."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deap import base

from gp_emq.evolution._generation import generate
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._objective import Measurement
from gp_emq.evolution._selection import Selection
from gp_emq.evolution._settings import SearchSettings
from gp_emq.evolution._tables import Outcome
from gp_emq.evolution._variation import cx_one_point, mutate
from gp_emq.proxies import Node
from gp_emq.store import BenchRow, IndividualRow
from primitives import PrimitiveSet


@dataclass(frozen=True)
class Proposal:
    """A tree that asks for a place in a generation.

    Args:
        nodes: The tree, in prefix order.
        row: What the store would keep of it, as far as is known.
    """

    nodes: list[Node]
    row: IndividualRow

    @property
    def expression(self) -> str:
        """The tree as text, which is what is evaluated."""
        return self.row.expression

    def judged(
        self,
        reason: str | None,
        outcome: Outcome,
        measurement: Measurement | None,
        networks: Sequence[str],
    ) -> IndividualRow:
        """Give what the store keeps of it, all but its number.

        Args:
            reason: Why it is rejected; None if it is not.
            outcome: What evaluating it came to.
            measurement: What its tables came to, if they were measured.
            networks: Names of the objective's networks.
        """
        taus = measurement.by_network if measurement else [(None, None)] * len(outcome.tables)
        return replace(
            self.row,
            training_tau=measurement.training if measurement else None,
            validation_tau=measurement.validation if measurement else None,
            sign=measurement.sign if measurement else None,
            reason=reason,
            seconds=self.row.seconds + outcome.seconds,
            benches=tuple(
                BenchRow(name, _known(training), _known(validation), table)
                for name, (training, validation), table in zip(
                    networks, taus, outcome.tables, strict=False
                )
            ),
        )


def _known(tau: float | None) -> float | None:
    return None if tau is None or math.isnan(tau) else tau


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


def offspring(
    toolbox: base.Toolbox,
    population: Sequence[Individual],
    crossover: float,
    rng: random.Random,
    weights: Mapping[str, float],
) -> tuple[list[Node], str, tuple[int, ...]]:
    """Make a tree from one or two members of a population sorted best first.

    Returns:
        Its nodes, what made it, and the identifiers of its parents.
    """
    first: Individual = toolbox.select(population, rng)
    if rng.random() < crossover:
        second: Individual = toolbox.select(population, rng)
        child, _ = toolbox.mate(first, second, rng=rng)
        return child, "crossover", (first.identifier, second.identifier)
    return toolbox.mutate(first, rng=rng, weights=weights), "mutation", (first.identifier,)
