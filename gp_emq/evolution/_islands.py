"""Islands: parts of the population that breed and select for themselves, and send migrants round.

Where everybody competes with everybody, the offspring of one good formula soon fill the population;
islands keep several lines alive. Source of the ring of migrants: Tanese, Distributed genetic
algorithms, 1989.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gp_emq.evolution._individual import Individual
from gp_emq.evolution._selection import Newcomers
from gp_emq.store import IndividualRow

MIGRANTS = 2
"""How many of its best an island sends to the next one at a time."""


@dataclass(frozen=True)
class Islands:
    """Which island each place of a generation belongs to.

    Places of offspring come first, then those of fresh individuals, then those of migrants. Whoever
    was born at a place of an island stays there; a migrant is born anew where it arrives.

    Args:
        count: How many islands there are.
        size: Members of the whole population.
        offspring: Offspring of a generation after the first.
        fresh: Fresh individuals of such a generation.
    """

    count: int
    size: int
    offspring: int
    fresh: int

    def members(self, island: int) -> int:
        """Give the most members of an island."""
        return len(self._part(island, self.size))

    def island_of(self, row: IndividualRow) -> int:
        """Give the island that an individual was born on."""
        return self.island_at(row.generation, row.place)

    def island_at(self, generation: int, place: int) -> int:
        """Give the island that a place of a generation belongs to."""
        offspring = self.size if generation == 0 else self.offspring
        for width in (offspring, self.fresh):
            if place < width:
                return ((place + 1) * self.count - 1) // width
            place -= width
        return place // MIGRANTS

    def split(self, population: Sequence[Individual]) -> list[list[Individual]]:
        """Split individuals by the island that they live on, in their order."""
        islands: list[list[Individual]] = [[] for _ in range(self.count)]
        for one in population:
            islands[self.island_of(one.row)].append(one)
        return islands

    def newcomers(self, newcomers: Newcomers) -> list[Newcomers]:
        """Split newcomers likewise; the places of each island are numbered as if it were alone."""
        islands: list[Newcomers] = [{} for _ in range(self.count)]
        for place, one in newcomers.items():
            island = self.island_of(one.row)
            islands[island][self._own_place(place, island)] = one
        return islands

    def arrivals(self, islands: Sequence[Sequence[Individual]]) -> dict[int, Individual]:
        """Say who migrates: the best of each island to the next one, of the last to the first.

        Args:
            islands: The members of each, best first.

        Returns:
            Those who leave, by the place at which they arrive; none whose formula is there already.
        """
        found = {}
        for target in range(self.count):
            present = {one.row.canonical for one in islands[target]}
            leaving = islands[target - 1][:MIGRANTS]
            for number, one in enumerate(leaving):
                if one.row.canonical not in present:
                    found[self.offspring + self.fresh + target * MIGRANTS + number] = one
        return found

    def _own_place(self, place: int, island: int) -> int:
        offspring, fresh = (self._part(island, width) for width in (self.offspring, self.fresh))
        if place < self.offspring:
            return place - offspring.start
        if place < self.offspring + self.fresh:
            return len(offspring) + place - self.offspring - fresh.start
        return len(offspring) + len(fresh) + (place - self.offspring - self.fresh) % MIGRANTS

    def _part(self, island: int, width: int) -> range:
        return range(island * width // self.count, (island + 1) * width // self.count)
