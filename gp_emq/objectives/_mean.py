"""An objective over several others: their mean, in one orientation for all."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import numpy as np

from gp_emq.errors import GpEmqError
from gp_emq.evolution import Figures, FloatArray, Measurement, Objective, ObjectiveOfParts, Tables
from gp_emq.objectives._dear import measure_above


class MeanObjective:
    """Measures formulas by the mean of what several objectives make of them.

    A formula has one orientation, so the sign is the one that makes the *mean* of training
    positive; an objective that would have it the other way round counts against the formula.

    What selection asks for is a concatenation over the objectives:

    - ``left_out``: the mean with one configuration of one objective left out. The configurations
      of different objectives are independent, so the jackknife over all of them gives the standard
      error of the mean, ``√(Σ SE²)`` over the number of objectives (but for a share of ``1/n``);
    - ``ranks``: those of each objective, so scaled that the product of two formulas' is the mean
      of their Spearman correlations.

    Args:
        objectives: At least one; each weighs the same.

    Raises:
        GpEmqError: There is none, or two of them name the same network.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self.networks = tuple(name for one in self._objectives for name in one.networks)
        if not self._objectives:
            raise GpEmqError("a mean needs at least one objective")
        twice = [name for name in self.networks if self.networks.count(name) > 1]
        if twice:
            raise GpEmqError(f"{twice[0]!r} is there twice; a mean needs different benches")

    def measure(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Measure formulas side by side; what each comes to depends on no other.

        Args:
            formulas: Finite tables of each formula, one for each of `networks`.

        Returns:
            Means in the orientation that the training configurations of all ask for.
        """
        measured = [
            one.measure([tables[own] for tables in formulas]) for one, own in self._with_places()
        ]
        return [_mean(parts) for parts in zip(*measured, strict=True)]

    def measure_above(
        self, formulas: Sequence[Tables], bars: Sequence[float], most: Sequence[float]
    ) -> list[Measurement]:
        """Measure formulas, the dear parts as far as they may come to a bar; see `measure_above`.

        Args:
            formulas: As for `measure`.
            bars: What each has to come to in training.
            most: What the dear part of each dear objective comes to at most, in their order.
        """
        places = [own for _, own in self._with_places()]
        split = [[tables[own] for own in places] for tables in formulas]
        return [_mean(parts) for parts in measure_above(self._objectives, split, bars, most)]

    def measured(self, tables: Tables, figures: Sequence[Figures]) -> Measurement:
        """Give what `measure` gives, from what was found on each network.

        Args:
            tables: Finite tables of one formula, one for each of `networks`.
            figures: What the part of each network made of its table.

        Raises:
            GpEmqError: One of the objectives has no parts.
        """
        return _mean(
            [_of_parts(one).measured(tables[own], figures[own]) for one, own in self._with_places()]
        )

    def _with_places(self) -> Iterator[tuple[Objective, slice]]:
        """Give each objective with where its networks are among all."""
        ends = np.cumsum([0, *(len(one.networks) for one in self._objectives)]).tolist()
        return zip(self._objectives, (slice(*own) for own in pairwise(ends)), strict=True)


def _of_parts(one: Objective) -> ObjectiveOfParts:
    if not hasattr(one, "measured"):  # the look at all that the protocol names is slow
        raise GpEmqError(f"{type(one).__name__} has no parts that workers could rank by")
    return cast("ObjectiveOfParts", one)


def _mean(parts: Sequence[Measurement]) -> Measurement:
    """Give the mean of measurements, each of which has an orientation of its own."""
    mean = sum(part.sign * part.training for part in parts) / len(parts)
    sign = -1 if mean < 0 else 1
    training = sign * mean
    turned = [(sign * part.sign, part) for part in parts]

    def left_out() -> FloatArray:
        moved = [turn * (part.left_out - part.training) for turn, part in turned]
        return training + np.concatenate(moved) / len(parts)

    def ranks() -> FloatArray:
        together = np.concatenate([turn * part.ranks for turn, part in turned])
        scaled: FloatArray = together / np.sqrt(len(parts))
        return scaled

    validation = sum(turn * part.validation for turn, part in turned) / len(parts)
    by_network = tuple(
        (turn * one, turn * other) for turn, part in turned for one, other in part.by_network
    )
    dear = tuple(one for part in parts for one in part.dear)
    complete = all(part.is_complete for part in parts)
    return Measurement(sign, training, validation, by_network, left_out, ranks, dear, complete)
