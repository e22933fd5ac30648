"""Selection: which individuals become parents, and which survive.

One generation is as many offspring as the population has members; fresh random individuals come
on top. A selection says how many, pairs them or pools them with the offspring, and decides who
stays.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from gp_emq.errors import GpEmqError
from gp_emq.evolution._individual import Individual
from gp_emq.evolution._objective import FloatArray, paired_standard_error

LARGEST_RANKS = 2**23
"""Ranks that one look at a population's diversity may take: 64 MiB."""

Newcomers = dict[int, Individual]
"""Individuals that passed the screen, by place: offspring first, then fresh ones."""


class Selection(ABC):
    """Decides about parents and survivors; holds no state between generations.

    Args:
        fresh_share: Fresh random individuals per offspring.
    """

    name: str
    fresh_share: float = 0.0
    asks_for_details: bool = False
    """Whether it looks at what tells formulas apart, not only at what they come to."""

    def offspring(self, size: int) -> int:
        """How many offspring a population of a size has."""
        return size

    def fresh(self, size: int) -> int:
        """How many fresh individuals come with them."""
        return round(self.fresh_share * size)

    def bar(self, population: Sequence[Individual], size: int) -> float:  # noqa: ARG002
        """Say what a newcomer has to come to, so that it need be measured to its end.

        Args:
            population: The present one.
            size: How many may stay.

        Returns:
            -inf where each newcomer counts, whatever it comes to.
        """
        return -np.inf

    @abstractmethod
    def parent(self, population: Sequence[Individual], rng: random.Random) -> Individual:
        """Draw one parent from a population sorted best first."""

    @abstractmethod
    def survivors(
        self,
        population: Sequence[Individual],
        newcomers: Newcomers,
        size: int,
        rng: random.Random,
    ) -> list[Individual]:
        """Choose the next population.

        Args:
            population: The present one, best first.
            newcomers: Who wants to enter, by place.
            size: How many may stay.
            rng: Where choices are drawn from.

        Returns:
            At most ``size`` individuals.
        """


class EmqSelection(Selection):
    """EMQ's: of an offspring and a fresh individual the better enters, the worst leaves.

    Parents come from the better half. All offspring of a generation are made from the
    population at its start, so that they can be evaluated side by side.

    Source: EMQ (arXiv 2307.10554), section 3.3 and algorithm 1.
    """

    name = "emq"
    fresh_share = 1.0

    def bar(self, population: Sequence[Individual], size: int) -> float:
        """Ask for the worst of a full population: who is below it would leave at once."""
        return _worst(population, size)

    def parent(self, population: Sequence[Individual], rng: random.Random) -> Individual:
        """Draw uniformly from the better half."""
        return population[rng.randrange(max(1, len(population) // 2))]

    def survivors(
        self,
        population: Sequence[Individual],
        newcomers: Newcomers,
        size: int,
        rng: random.Random,  # noqa: ARG002 - nothing is drawn
    ) -> list[Individual]:
        """Let the better of each pair enter and the worst leave, pair by pair."""
        members = list(population)
        for place in range(size):
            pair = [newcomers[p] for p in (place, place + size) if p in newcomers]
            if not pair:
                continue
            members.append(best_of(pair))
            if len(members) > size:
                members = without(members, worst_of(members))
        return members


class TournamentSelection(Selection):
    """Plain tournaments on fitness, for parents and for survivors; the best always stays.

    Args:
        contestants: How many meet in one tournament.
        fresh_share: Fresh random individuals per offspring.
    """

    name = "tournament"

    def __init__(self, contestants: int = 3, fresh_share: float = 0.1) -> None:
        self.contestants = contestants
        self.fresh_share = fresh_share

    def bar(self, population: Sequence[Individual], size: int) -> float:  # noqa: ARG002
        """Ask for the median of the population; below it few win a tournament."""
        return float(np.median([one.tau for one in population])) if population else -np.inf

    def parent(self, population: Sequence[Individual], rng: random.Random) -> Individual:
        """Draw the winner of a tournament."""
        return best_of([rng.choice(population) for _ in range(self.contestants)])

    def survivors(
        self,
        population: Sequence[Individual],
        newcomers: Newcomers,
        size: int,
        rng: random.Random,
    ) -> list[Individual]:
        """Fill the population tournament by tournament, without replacement."""
        pool = sorted([*population, *newcomers.values()], key=best_first)
        chosen = [pool.pop(0)] if pool else []
        while pool and len(chosen) < size:
            count = min(self.contestants, len(pool))
            contest = [pool[place] for place in sorted(rng.sample(range(len(pool)), count))]
            winner = self.winner(contest, chosen)
            pool = without(pool, winner)
            chosen.append(winner)
        return chosen

    def winner(
        self,
        contest: Sequence[Individual],
        chosen: Sequence[Individual],  # noqa: ARG002 - plain tournaments look at fitness alone
    ) -> Individual:
        """Decide a tournament among contestants sorted best first."""
        return contest[0]


class DiversitySelection(TournamentSelection):
    """Tournaments that prompt diversity among contestants that fitness cannot tell apart.

    Of those whose training tau differs from the best contestant's by no more than one paired
    jackknife standard error, and by no more than 0.02, the one wins whose scores are least
    correlated (largest absolute Spearman correlation on the training configurations) with those
    already chosen.
    """

    name = "diversity"
    asks_for_details = True
    largest_difference = 0.02

    def winner(self, contest: Sequence[Individual], chosen: Sequence[Individual]) -> Individual:
        """Decide a tournament among contestants sorted best first."""
        best = contest[0]
        tied = [best] + [
            other
            for other in contest[1:]
            if best.tau - other.tau <= self.largest_difference
            and best.tau - other.tau <= paired_standard_error(best.measurement, other.measurement)
        ]
        if len(tied) == 1:
            return best
        # Those already chosen are many, and to copy their ranks together takes longer than this.
        ranks = np.stack([one.measurement.ranks for one in tied])
        correlations = [np.abs(ranks @ other.measurement.ranks) for other in chosen]
        closeness = [round(one, 9) for one in np.max(correlations, axis=0).tolist()]
        return tied[closeness.index(min(closeness))]


class LexicaseSelection(TournamentSelection):
    """Automatic ε-lexicase: the benches decide one after the other, in a new order each time.

    Of those still in the running a bench keeps all that come within ε of the best of them on it,
    where ε is the median absolute deviation of what they come to; the last are drawn from. What is
    the best on some network thus lives on beside what is good on average, which a mean over
    networks would let die out. It is made for many benches; on one it is a draw among the
    better ones.

    Source: La Cava et al., Epsilon-lexicase selection for regression, 2016.
    """

    name = "lexicase"

    def bar(self, population: Sequence[Individual], size: int) -> float:  # noqa: ARG002
        """Ask for nothing: who is bad on the whole may be the best on some bench."""
        return -np.inf

    def parent(self, population: Sequence[Individual], rng: random.Random) -> Individual:
        """Draw one parent, bench by bench."""
        return population[_last_in_the_running(_cases(population), rng)]

    def survivors(
        self,
        population: Sequence[Individual],
        newcomers: Newcomers,
        size: int,
        rng: random.Random,
    ) -> list[Individual]:
        """Keep the best of all, and draw the others without replacement."""
        pool = sorted([*population, *newcomers.values()], key=best_first)
        cases, chosen = _cases(pool), pool[:1]
        waiting = list(range(1, len(pool)))
        while waiting and len(chosen) < size:
            chosen.append(pool[waiting.pop(_last_in_the_running(cases[waiting], rng))])
        return chosen


def _cases(individuals: Sequence[Individual]) -> FloatArray:
    """What individuals come to on each bench, (individuals, benches)."""
    return np.array(
        [[training for training, _ in one.measurement.by_network] for one in individuals]
    )


def _last_in_the_running(cases: FloatArray, rng: random.Random) -> int:
    """Draw the place of a row by ε-lexicase."""
    places = np.arange(len(cases))
    for case in rng.sample(range(cases.shape[1]), cases.shape[1]):
        values = cases[places, case]
        spread = float(np.median(np.abs(values - np.median(values))))
        places = places[values >= values.max() - spread]
        if len(places) == 1:
            break
    return int(places[rng.randrange(len(places))])


class RandomSelection(Selection):
    """Random search with the same screening: only fresh individuals, the best stay."""

    name = "random"
    fresh_share = 1.0

    def bar(self, population: Sequence[Individual], size: int) -> float:
        """Ask for the worst of a full population, as EMQ's selection does."""
        return _worst(population, size)

    def offspring(self, size: int) -> int:  # noqa: ARG002 - random search breeds nobody
        """No offspring."""
        return 0

    def parent(self, population: Sequence[Individual], rng: random.Random) -> Individual:
        """Draw any member; random search never asks."""
        return rng.choice(population)

    def survivors(
        self,
        population: Sequence[Individual],
        newcomers: Newcomers,
        size: int,
        rng: random.Random,  # noqa: ARG002 - nothing is drawn
    ) -> list[Individual]:
        """Keep the best of all."""
        return sorted([*population, *newcomers.values()], key=best_first)[:size]


SELECTIONS: dict[str, type[Selection]] = {
    selection.name: selection
    for selection in (
        DiversitySelection,
        EmqSelection,
        TournamentSelection,
        LexicaseSelection,
        RandomSelection,
    )
}


def make_selection(name: str) -> Selection:
    """Make a selection by name.

    Raises:
        GpEmqError: There is none of that name.
    """
    if name not in SELECTIONS:
        raise GpEmqError(f"unknown selection {name!r}; known are {', '.join(SELECTIONS)}")
    return SELECTIONS[name]()


def best_first(individual: Individual) -> tuple[float, int, int]:
    """Sort key: the fittest first; equal ones by size, then by age."""
    return (-individual.tau, len(individual), individual.identifier)


def best_of(individuals: Sequence[Individual]) -> Individual:
    """The fittest; equal ones by size, then by age."""
    return min(individuals, key=best_first)


def _worst(population: Sequence[Individual], size: int) -> float:
    return min(one.tau for one in population) if len(population) >= size else -np.inf


def worst_of(individuals: Sequence[Individual]) -> Individual:
    """The least fit."""
    return max(individuals, key=best_first)


def without(individuals: Sequence[Individual], one: Individual) -> list[Individual]:
    """Leave out one individual, but not another with the same tree."""
    return [individual for individual in individuals if individual is not one]


def diversity(population: Sequence[Individual]) -> float:
    """One less the mean absolute rank correlation of the population's pairs, in [0, 1].

    Where that takes more than `LARGEST_RANKS` numbers it is of as many members as do not, at equal
    distances.
    """
    if len(population) < 2:
        return 0.0
    most = max(2, LARGEST_RANKS // len(population[0].measurement.ranks))
    chosen = population[:: -(-len(population) // most)]
    ranks = np.stack([individual.measurement.ranks for individual in chosen])
    correlations = np.abs(ranks @ ranks.T)
    count = len(chosen)
    return float(1 - (correlations.sum() - np.trace(correlations)) / (count * (count - 1)))
