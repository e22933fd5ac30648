"""What a formula has to come to in a generation, so that measuring all of it is worth the time."""

from collections.abc import Sequence

import numpy as np

from gp_emq.evolution._individual import Individual
from gp_emq.evolution._islands import Islands
from gp_emq.evolution._selection import Selection

MARGIN = 0.02
"""What takes long to measure is taken to come to the most of the population, and so much more."""


class Bars:
    """The bars of a generation, fixed from what is known before it.

    A formula that cannot come to what selection asks for, nor to the front of training against
    size, is not measured to its end, and takes no part in selection.

    Args:
        selection: Says what it asks for.
        islands: Which places belong to whom.
    """

    def __init__(self, selection: Selection, islands: Islands) -> None:
        self._selection, self._islands = selection, islands
        self._generation = 0
        self._asked: list[float] = []
        self._front: list[Individual] = []
        self.most: tuple[float, ...] = ()

    def begin(
        self, generation: int, breeding: Sequence[list[Individual]], front: Sequence[Individual]
    ) -> None:
        """Fix the bars of a generation.

        Args:
            generation: Its number.
            breeding: The members of each island.
            front: The front of training against size.
        """
        self._generation, self._front = generation, list(front)
        self._asked = [
            self._selection.bar(members, self._islands.members(island))
            for island, members in enumerate(breeding)
        ]
        known = [one.measurement.dear for members in breeding for one in members]
        best = np.array(known, dtype=np.float64).max(axis=0) if known else np.empty(0)
        self.most = tuple((best + MARGIN).tolist())

    def bar(self, place: int, size: int) -> float:
        """Give what a formula of a size has to come to at a place of the generation."""
        if not self.most:
            return -np.inf
        island = self._islands.island_at(self._generation, place)
        on_front = max((one.tau for one in self._front if len(one) <= size), default=-np.inf)
        return min(self._asked[island], on_front)
