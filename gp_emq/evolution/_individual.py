"""Individuals: DEAP trees with their tables and what the objective made of them."""

from typing import Any, Self

from deap import base, gp

from gp_emq.evolution._objective import Measurement
from gp_emq.proxies import Node
from gp_emq.store import IndividualRow


class Fitness(base.Fitness):  # type: ignore[misc]
    """Training, to be maximised, and size, to be minimised.

    DEAP compares lexicographically, so equal ones are decided by the smaller tree, and
    ``dominates`` gives the Pareto front of the two.
    """

    weights = (1.0, -1.0)


class Individual(gp.PrimitiveTree):  # type: ignore[misc]
    """A tree that a search may keep.

    Args:
        nodes: The tree, in prefix order.
        row: What the store keeps of it, tables included.
        measurement: What the objective found.
    """

    def __init__(self, nodes: list[Node], row: IndividualRow, measurement: Measurement) -> None:
        super().__init__(nodes)
        self.row = row
        self.measurement = measurement
        self.fitness = Fitness((measurement.training, len(nodes)))

    @property
    def identifier(self) -> int:
        """Its number in the search."""
        return self.row.id

    @property
    def expression(self) -> str:
        """Its tree as text."""
        return self.row.expression

    @property
    def tau(self) -> float:
        """What the search maximises, on the training configurations."""
        return self.measurement.training

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Give the individual itself: variation makes new trees and never changes one."""
        return self
