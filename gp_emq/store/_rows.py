"""The kinds of rows that a run's store holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


def bench_key(name: str, place: int) -> str:
    """Under what a store keeps a value or an array of one of a run's benches.

    Args:
        name: what it is, such as `configurations`.
        place: which bench; the first, often the only one, goes without a number.
    """
    return f"{name} {place}" if place else name


@dataclass(frozen=True)
class BenchRow:
    """What an individual came to on one bench.

    Attributes:
        bench: name of the bench.
        training_tau: Kendall tau on its training configurations, in the orientation that the
            individual has on all benches; None without a fitness.
        validation_tau: the same on its validation configurations.
        table: float64 (entries, bits), as the tree gives it. Not part of a comparison.
    """

    bench: str
    training_tau: float | None = None
    validation_tau: float | None = None
    table: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class IndividualRow:
    """One individual that was proposed, whether it entered the population or not.

    Attributes:
        id: number within the run, in order of proposal.
        generation: the generation it was proposed in; 0 is the initial population.
        place: the place in the generation that it was proposed for.
        attempt: how many proposals for this place were rejected before it.
        operator: what made it: `seed`, `fresh`, `crossover`, `mutation`, ...
        parents: ids of its parents, empty for seeds and fresh individuals.
        expression: the tree as a typed expression.
        canonical: the same with commutative arguments sorted and identities folded.
        size: nodes of the tree.
        depth: edges from the root to the deepest leaf.
        training_tau: Kendall tau on the training configurations, on several benches its mean;
            None without a fitness.
        validation_tau: the same on the validation configurations.
        sign: +1 or -1, whichever orients the tables; None without a fitness.
        reason: why the screen rejected it, None if it was accepted.
        seconds: what it took to screen and evaluate it.
        benches: what it came to on each bench; empty if its tables were never computed.
    """

    id: int
    generation: int
    place: int
    attempt: int
    operator: str
    parents: tuple[int, ...]
    expression: str
    canonical: str
    size: int
    depth: int
    training_tau: float | None = None
    validation_tau: float | None = None
    sign: int | None = None
    reason: str | None = None
    seconds: float = 0.0
    benches: tuple[BenchRow, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the screen let it pass."""
        return self.reason is None

    @property
    def tables(self) -> tuple[NDArray[np.float64], ...]:
        """float64 (entries, bits) of each bench, as the tree gives them; empty if not all known."""
        known = tuple(row.table for row in self.benches if row.table is not None)
        return known if len(known) == len(self.benches) else ()

    @property
    def oriented_tables(self) -> tuple[NDArray[np.float64], ...]:
        """The same with higher sums predicting higher accuracy; empty if not known."""
        return () if self.sign is None else tuple(self.sign * table for table in self.tables)


@dataclass(frozen=True, kw_only=True)
class GenerationRow:
    """One completed generation.

    Attributes:
        generation: 0 is the initial population.
        population: ids of its members.
        best_training: highest training tau of the population.
        median_training: median training tau of the population.
        best_validation: validation tau of the individual that is best on training.
        diversity: how much the population's scores differ, in [0, 1].
        evaluations: fitness evaluations since the start of the run.
        proposals: individuals proposed since the start of the run.
        rejections: individuals rejected in this generation, by reason.
        seconds: what this generation took.
    """

    generation: int
    population: tuple[int, ...]
    best_training: float
    median_training: float
    best_validation: float
    diversity: float
    evaluations: int
    proposals: int
    rejections: Mapping[str, int]
    seconds: float
