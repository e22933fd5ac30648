"""The formulas that a search leaves, and which of them it recommends by itself."""

from collections.abc import Sequence

from gp_emq.evolution import Individual, Search

CLOSE_TO_BEST = 0.02
"""Members of the front this close to the best training tau compete on validation tau."""


def front_of(search: Search) -> list[Individual]:
    """Give the Pareto front of training tau against size, smallest first, one per size."""
    members: dict[int, Individual] = {}
    for individual in sorted(search.hall_of_fame, key=lambda i: (len(i), i.identifier)):
        members.setdefault(len(individual), individual)
    return list(members.values())


def recommended(front: Sequence[Individual]) -> Individual:
    """Choose the formula that a run recommends, without looking at the test configurations.

    Of the front's members within `CLOSE_TO_BEST` of the best training tau, the one with the
    highest validation tau; of equals the smallest.
    """
    best = max(individual.tau for individual in front)
    close = [individual for individual in front if best - individual.tau <= CLOSE_TO_BEST]
    return max(close, key=lambda i: (i.measurement.validation, -len(i)))
