"""Individuals: DEAP trees with a stored sign, a table, and where they came from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from deap import base, gp
from numpy.typing import NDArray

from gp_emq.proxies import Node

FloatArray = NDArray[np.float64]


class Fitness(base.Fitness):  # type: ignore[misc]
    """Training tau, to be maximised, and size, to be minimised.

    DEAP compares lexicographically, so equal taus are decided by the smaller tree, and
    ``dominates`` gives the Pareto front of the two.
    """

    weights = (1.0, -1.0)


@dataclass(frozen=True)
class Measurement:
    """What the fitness function found of one table.

    Args:
        sign: +1 or −1; times the table it gives the orientation in which a higher score predicts
            higher accuracy on the training configurations.
        training: Kendall tau on the training configurations, oriented, so at least 0.
        validation: Kendall tau on the validation configurations, oriented.
        left_out: Training tau with each configuration left out in turn, oriented,
            (training configurations,).
        ranks: Centred ranks of the oriented training scores, scaled to unit length,
            (training configurations,).
    """

    sign: int
    training: float
    validation: float
    left_out: FloatArray
    ranks: FloatArray


class Individual(gp.PrimitiveTree):  # type: ignore[misc]
    """A tree that a search may keep.

    Args:
        nodes: The tree, in prefix order.
        expression: The same as text.
        canonical: Its canonical form.
        table: Its sensitivity table, not oriented, (entries, bits).
        measurement: What the fitness function found.
        identifier: Its row in the store.
        generation: When it entered.
    """

    def __init__(
        self,
        nodes: list[Node],
        *,
        expression: str,
        canonical: str,
        table: FloatArray,
        measurement: Measurement,
        identifier: int,
        generation: int,
    ) -> None:
        super().__init__(nodes)
        self.expression = expression
        self.canonical = canonical
        self.table = table
        self.measurement = measurement
        self.identifier = identifier
        self.generation = generation
        self.fitness = Fitness((measurement.training, len(nodes)))

    @property
    def tau(self) -> float:
        """Training tau."""
        return self.measurement.training

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Give the individual itself: variation makes new trees and never changes one."""
        return self
