"""The two kinds of rows that a run's store holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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
        training_tau: Kendall tau on the training configurations, None without a fitness.
        validation_tau: the same on the validation configurations.
        sign: +1 or -1, whichever orients the table; None without a fitness.
        reason: why the screen rejected it, None if it was accepted.
        seconds: what it took to screen and evaluate it.
        scores_table: float64 (entries, bits), as the tree gives it; None if never computed.
            Not part of a comparison between rows.
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
    scores_table: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)

    @property
    def accepted(self) -> bool:
        """Whether the screen let it pass."""
        return self.reason is None

    @property
    def oriented_table(self) -> NDArray[np.float64] | None:
        """float64 (entries, bits) whose higher sums predict higher accuracy, if known."""
        if self.scores_table is None or self.sign is None:
            return None
        return self.sign * self.scores_table


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
