"""The simplest objective: Kendall tau of a table's scores against the accuracies of one bench."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import KendallRanker, PairMask, Ranker, among, mean_ranks, rounded
from gp_emq.evolution import Details, Figures, FloatArray, Measurement, Tables, centred
from gp_emq.mqbench import Bench
from gp_emq.proxies import configuration_scores

IndexArray = NDArray[np.intp]


class BenchObjective:
    """Measures formulas on a bench's training and validation configurations.

    A table and its negation are one proxy: the sign that makes the training tau positive is
    stored, and everything else is measured in that orientation. Rows are centred first, since a
    row offset changes no ranking but costs digits.

    Args:
        bench: The bench.
        samples: How many training configurations to use; all of them if None.
        seed: Which ones.
        pairs: Which pairs of the bench's configurations count, (n, n); all of them if None.
        ranker: Makes what ranks from the values of configurations, higher is better, and the pairs
            of them that count.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        samples: int | None = None,
        seed: int = 0,
        pairs: PairMask | None = None,
        ranker: Callable[[FloatArray, PairMask | None], Ranker] = KendallRanker,
    ) -> None:
        self.networks, self.pairs = (bench.name,), pairs
        self.choices: IndexArray = np.searchsorted(
            np.asarray(bench.bits), bench.configurations
        ).astype(np.intp)
        training = [int(index) for index in bench.training]
        if samples is not None and samples < len(training):
            # Named like every stream of a search, so that runs of before can be resumed.
            training = sorted(random.Random(f"{seed}/bench samples").sample(training, samples))
        self._training = np.asarray(training, dtype=np.intp)
        validation = np.asarray(bench.validation, dtype=np.intp)
        self._choices = self.choices[self._training], self.choices[validation]
        accuracies: FloatArray = np.asarray(bench.oriented, dtype=np.float64)
        self._rank_training, self._rank_validation = (
            ranker(accuracies[part], among(pairs, part)) for part in (self._training, validation)
        )

    @property
    def training(self) -> IndexArray:
        """Indices of the training configurations that are used."""
        return self._training

    def measure(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Measure formulas side by side; what each comes to depends on no other.

        Args:
            formulas: The one finite sensitivity table of each, (entries, bits).

        Returns:
            The taus in the orientation that the training configurations ask for.
        """
        if not formulas:
            return []
        found, training = self._ranked([table for (table,) in formulas])
        return [
            self._measurement(one, partial(np.multiply, one.sign, row))
            for one, row in zip(found, training, strict=True)
        ]

    def figures(self, tables: Sequence[FloatArray], *, detailed: bool = False) -> list[Figures]:
        """Rank tables, (entries, bits) each, as `measure` does; see `gp_emq.evolution.Part`."""
        if not tables:
            return []
        found, training = self._ranked(tables)
        if not detailed:
            return found
        return [
            replace(one, details=self._details(one.sign * row))
            for one, row in zip(found, training, strict=True)
        ]

    def measured(self, tables: Tables, figures: Sequence[Figures]) -> Measurement:
        """Give what `measure` gives, from what `figures` gave of the one table."""
        (table,), (one,) = tables, figures
        return self._measurement(one, partial(self._training_scores, table, one.sign))

    def _ranked(self, tables: Sequence[FloatArray]) -> tuple[list[Figures], FloatArray]:
        """Rank tables; their scores of the training configurations, not oriented, (tables, n)."""
        stacked = centred(np.stack(tables))
        training, validation = (
            rounded(configuration_scores(stacked, choices)) for choices in self._choices
        )
        training_taus = self._rank_training.taus(training)
        signs = np.where(training_taus < 0, -1, 1)
        validation_taus = self._rank_validation.taus(validation)
        found = [
            Figures(int(sign), float(sign * tau), float(sign * other))
            for sign, tau, other in zip(signs, training_taus, validation_taus, strict=True)
        ]
        return found, training

    def _training_scores(self, table: FloatArray, sign: int) -> FloatArray:
        (scores,) = rounded(configuration_scores(centred(table[None]), self._choices[0]))
        oriented: FloatArray = sign * scores
        return oriented

    def _details(self, scores: FloatArray) -> Details:
        return Details(self._rank_training.left_out(scores), _unit_ranks(scores))

    def _measurement(self, one: Figures, scores: Callable[[], FloatArray]) -> Measurement:
        kept, known = cache(scores), one.details
        return Measurement(
            one.sign,
            one.training,
            one.validation,
            ((one.training, one.validation),),
            lambda: known.left_out if known else self._rank_training.left_out(kept()),
            lambda: known.ranks if known else _unit_ranks(kept()),
        )


def _unit_ranks(scores: FloatArray) -> FloatArray:
    """Centred ranks of scores, scaled to unit length, (n,)."""
    ranks: FloatArray = mean_ranks(scores)
    ranks -= ranks.mean()
    length = float(np.linalg.norm(ranks))
    return ranks / length if length else ranks
