"""What shapes a search, besides the parts it is made of."""

from dataclasses import dataclass

SELECTION_NAMES = ("diversity", "emq", "tournament", "lexicase", "random")
"""Of `SELECTIONS`, for whoever must not import what they are made of."""


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What shapes a search, besides its parts.

    Args:
        population: Members of the population.
        seed: Seed of everything random.
        max_depth: Most levels of a tree below its root.
        max_size: Most nodes of a tree.
        initial_depths: Smallest and largest depth of fresh trees.
        crossover: Share of offspring made by crossover; the rest are mutations.
        attempts: Failed attempts to fill a place before a duplicate may enter.
        screening: Whether individuals are screened before their fitness is computed.
        prioritisation: Whether operators that keep failing are drawn less often.
        islands: Into how many parts the population is divided; see `gp_emq.evolution._islands`.
        migration_every: Generations between two migrations.
        frugal: Whether what takes long is measured only of formulas that may win by it, where the
            objective can tell; see `gp_emq.evolution._bars`.
    """

    population: int = 60
    seed: int = 0
    max_depth: int = 8
    max_size: int = 30
    initial_depths: tuple[int, int] = (1, 5)
    crossover: float = 0.5
    attempts: int = 50
    screening: bool = True
    prioritisation: bool = True
    islands: int = 1
    migration_every: int = 10
    frugal: bool = False
