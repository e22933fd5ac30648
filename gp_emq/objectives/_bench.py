"""The simplest objective: Kendall tau of a table's scores against the accuracies of one bench."""

import random
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gp_emq.correlation import KendallRanker, PairMask, Ranker, among, rounded
from gp_emq.evolution import FloatArray, Measurement, Tables, centred
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
        self._validation = np.asarray(bench.validation, dtype=np.intp)
        accuracies: FloatArray = np.asarray(bench.oriented, dtype=np.float64)
        self._rank_training, self._rank_validation = (
            ranker(accuracies[part], among(pairs, part))
            for part in (self._training, self._validation)
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
        tables = np.stack([table for (table,) in formulas])
        scores = configuration_scores(centred(tables), self.choices)
        training = rounded(scores[:, self._training])
        training_taus = self._rank_training.taus(training)
        signs = np.where(training_taus < 0, -1, 1)
        validation_taus = self._rank_validation.taus(rounded(scores[:, self._validation]))
        return [
            self._measurement(int(sign), float(sign * tau), float(sign * other), sign * row)
            for sign, row, tau, other in zip(
                signs, training, training_taus, validation_taus, strict=True
            )
        ]

    def _measurement(
        self, sign: int, training: float, validation: float, scores: FloatArray
    ) -> Measurement:
        taus = ((training, validation),)
        left_out, ranks = (
            partial(self._rank_training.left_out, scores),
            partial(_unit_ranks, scores),
        )
        return Measurement(sign, training, validation, taus, left_out, ranks)


def _unit_ranks(scores: FloatArray) -> FloatArray:
    """Centred ranks of scores, scaled to unit length, (n,)."""
    ranks: FloatArray = stats.rankdata(scores)
    ranks -= ranks.mean()
    length = float(np.linalg.norm(ranks))
    return ranks / length if length else ranks
