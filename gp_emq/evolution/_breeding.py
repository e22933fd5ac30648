"""Proposing trees: DEAP's toolbox, with every choice drawn from the proposal's own stream."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deap import base

from gp_emq.evolution._generation import generate
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._selection import Selection
from gp_emq.evolution._variation import cx_one_point, mutate
from gp_emq.proxies import Node
from primitives import PrimitiveSet


@dataclass(frozen=True)
class Draft:
    """A tree just made, not yet looked at.

    Args:
        nodes: The tree, in prefix order.
        operator: ``fresh``, ``crossover``, ``mutation`` or ``seed``.
        parents: Identifiers of the individuals it was made from.
    """

    nodes: list[Node]
    operator: str
    parents: tuple[int, ...] = ()


class Breeder:
    """Makes fresh trees and offspring.

    Args:
        primitive_set: The set to build from.
        selection: Who becomes a parent.
        initial_depths: Smallest and largest depth of fresh trees.
        crossover: Share of offspring made by crossover; the rest are mutations.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        selection: Selection,
        *,
        initial_depths: tuple[int, int] = (1, 5),
        crossover: float = 0.5,
    ) -> None:
        low, high = initial_depths
        self.toolbox = base.Toolbox()
        self.toolbox.register("generate", generate, primitive_set, low, high)
        self.toolbox.register("select", selection.parent)
        self.toolbox.register("mate", cx_one_point)
        self.toolbox.register("mutate", mutate, primitive_set=primitive_set)
        self._crossover = crossover

    def fresh(self, rng: random.Random, weights: Mapping[str, float]) -> Draft:
        """Make a random tree."""
        return Draft(self.toolbox.generate(rng=rng, weights=weights), "fresh")

    def offspring(
        self, population: Sequence[Individual], rng: random.Random, weights: Mapping[str, float]
    ) -> Draft:
        """Make a tree from one or two members of a population sorted best first."""
        first: Individual = self.toolbox.select(population, rng)
        if rng.random() < self._crossover:
            second: Individual = self.toolbox.select(population, rng)
            child, _ = self.toolbox.mate(first, second, rng=rng)
            return Draft(child, "crossover", (first.identifier, second.identifier))
        child = self.toolbox.mutate(first, rng=rng, weights=weights)
        return Draft(child, "mutation", (first.identifier,))
