"""An objective over several others: their mean, in one orientation for all."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gp_emq.errors import GpEmqError
from gp_emq.evolution import FloatArray, Measurement, Objective, Tables


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
        ends = np.cumsum([0, *(len(one.networks) for one in self._objectives)]).tolist()
        measured = [
            one.measure([tables[start:stop] for tables in formulas])
            for one, (start, stop) in zip(self._objectives, pairwise(ends), strict=True)
        ]
        return [_mean(parts) for parts in zip(*measured, strict=True)]


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
    return Measurement(sign, training, validation, by_network, left_out, ranks)
