"""What a search maximises: all that evolution knows of benches, accuracies and correlations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gp_emq.statistics import Statistics

FloatArray = NDArray[np.float64]

Tables = tuple[FloatArray, ...]
"""A formula's sensitivity tables, not oriented: one of (entries, bits) for each network."""


@dataclass(frozen=True, eq=False)
class Details:
    """What only selection asks for, of one formula on one network.

    Args:
        left_out: As `Measurement.left_out`, in the orientation of this network alone.
        ranks: As `Measurement.ranks`, in the same.
    """

    left_out: FloatArray
    ranks: FloatArray


@dataclass(frozen=True)
class Figures:
    """What a formula comes to on one network: few numbers, so that they can travel.

    Args:
        sign: The orientation that this network's training configurations ask for, +1 or −1.
        training: On them, in that orientation, so at least 0.
        validation: On the validation configurations, in the same.
        details: What selection will ask for; None where it does not, or whoever asks is to find it.
    """

    sign: int
    training: float
    validation: float
    details: Details | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class Measurement:
    """What an objective found of one formula; what only selection asks for comes when it asks.

    Args:
        sign: +1 or −1; times its tables it gives the orientation in which a higher score predicts
            higher accuracy on the training configurations of all networks together.
        training: What the search maximises, on the training configurations, oriented, so at least
            0.
        validation: The same on the validation configurations, oriented.
        by_network: Training and validation of each network, in the one orientation that all share;
            a network alone may be below 0. Not a number where a network was not measured to its
            end.
        make_left_out: Gives `left_out`.
        make_ranks: Gives `ranks`.
        dear: What of it takes long to measure came to, see `Frugal`, for each network that has
            such; not a number where that was not measured.
        is_complete: Whether everything was measured; otherwise `training` is what it comes to
            without, and the formula could not win by it.
    """

    sign: int
    training: float
    validation: float
    by_network: tuple[tuple[float, float], ...]
    make_left_out: Callable[[], FloatArray]
    make_ranks: Callable[[], FloatArray]
    dear: tuple[float, ...] = ()
    is_complete: bool = True

    @cached_property
    def left_out(self) -> FloatArray:
        """Training with each configuration left out in turn, (configurations of all networks,)."""
        return self.make_left_out()

    @cached_property
    def ranks(self) -> FloatArray:
        """What tells scores apart, (configurations of all networks,).

        The product of those of two formulas is the Spearman correlation of their scores.
        """
        return self.make_ranks()


class Objective(Protocol):
    """Names the networks that a formula is evaluated on, and measures what it comes to there."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, each as a bench quantizes it and named after that bench."""

    def measure(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Measure formulas side by side; what each comes to depends on no other.

        Args:
            formulas: Finite tables of each formula, one for each of `networks`.
        """


class Part(Protocol):
    """What ranks tables of one network, wherever they were computed."""

    def figures(self, tables: Sequence[FloatArray], *, detailed: bool = False) -> list[Figures]:
        """Rank finite tables; what one comes to depends on no other.

        Args:
            tables: (entries, bits) each.
            detailed: Whether to give details, too.
        """


class PartSource(Protocol):
    """How a worker comes by a part: small to send, equal where the part is, and hashable."""

    def open(self, statistics: Statistics) -> Part | None:
        """Make the part of a network of such statistics; None where that cannot be done here."""


@runtime_checkable
class ObjectiveOfParts(Objective, Protocol):
    """An objective of which workers do the ranking, network by network."""

    def measured(self, tables: Tables, figures: Sequence[Figures]) -> Measurement:
        """Give what `measure` gives, from what the parts found.

        Args:
            tables: Finite tables of one formula, one for each of `networks`.
            figures: What the part of each network made of its table.
        """


@runtime_checkable
class Frugal(Objective, Protocol):
    """An objective that spares what takes long, of formulas that cannot win by it."""

    def measure_above(
        self, formulas: Sequence[Tables], bars: Sequence[float], most: Sequence[float]
    ) -> list[Measurement]:
        """Measure formulas, each as long as it may come to a bar.

        Args:
            formulas: As for `measure`.
            bars: What each has to come to in training.
            most: What each of `Measurement.dear` is taken to come to at most.

        Returns:
            What `measure` gives, of those that may come to their bar; of others less was measured.
        """


def centred(table: FloatArray) -> FloatArray:
    """Take each row's mean off tables (..., entries, bits): a row offset changes no ranking."""
    result: FloatArray = table - table.mean(axis=-1, keepdims=True)
    return result


def paired_standard_error(one: Measurement, other: Measurement) -> float:
    """Jackknife standard error of the difference of what two formulas come to in training.

    Args:
        one: A measurement.
        other: Another, of the same objective.

    Returns:
        ``√((n − 1)/n · Σ (d_i − mean d)²)`` over the leave-one-out differences d. Source: Efron
        and Tibshirani, An Introduction to the Bootstrap, chapter 11.
    """
    differences = one.left_out - other.left_out
    count = len(differences)
    return float(np.sqrt((count - 1) / count * np.sum((differences - differences.mean()) ** 2)))
