"""The simplest objective: Kendall tau of a table's scores against the accuracies of one bench."""

import random
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gp_emq.evolution import FloatArray, Measurement, Tables, centred
from gp_emq.mqbench import Bench
from gp_emq.proxies import KendallRanker, configuration_scores, rounded

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
    """

    def __init__(self, bench: Bench, *, samples: int | None = None, seed: int = 0) -> None:
        self.networks = (bench.name,)
        self.choices: IndexArray = np.searchsorted(
            np.asarray(bench.bits), bench.configurations
        ).astype(np.intp)
        training = [int(index) for index in bench.training]
        if samples is not None and samples < len(training):
            # Named like every stream of a search, so that runs of before can be resumed.
            training = sorted(random.Random(f"{seed}/bench samples").sample(training, samples))
        self._training = np.asarray(training, dtype=np.intp)
        self._validation = np.asarray(bench.validation, dtype=np.intp)
        accuracies: FloatArray = np.asarray(bench.accuracies, dtype=np.float64)
        self._accuracy_signs = _signs(accuracies[self._training])
        self._rank_training = KendallRanker(accuracies[self._training])
        self._rank_validation = KendallRanker(accuracies[self._validation])

    @property
    def training_size(self) -> int:
        """How many training configurations are used."""
        return len(self._training)

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
        left_out, ranks = partial(self._leave_one_out, scores), partial(_unit_ranks, scores)
        return Measurement(sign, training, validation, taus, left_out, ranks)

    def _leave_one_out(self, scores: FloatArray) -> FloatArray:
        """Give tau-b with each configuration left out, exactly: (n,) to (n,)."""
        signs = _signs(scores)
        others = self._accuracy_signs
        concordance = np.einsum("ij,ij->i", signs, others)
        untied = np.abs(signs).sum(axis=1)
        untied_others = np.abs(others).sum(axis=1)
        # Sums over ordered pairs; leaving i out takes away row i and column i.
        numerator = concordance.sum() - 2 * concordance
        left = untied.sum() - 2 * untied
        right = untied_others.sum() - 2 * untied_others
        denominator = np.sqrt(left * right)
        taus: FloatArray = np.divide(
            numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0
        )
        return taus


def _unit_ranks(scores: FloatArray) -> FloatArray:
    """Centred ranks of scores, scaled to unit length, (n,)."""
    ranks: FloatArray = stats.rankdata(scores)
    ranks -= ranks.mean()
    length = float(np.linalg.norm(ranks))
    return ranks / length if length else ranks


def _signs(values: FloatArray) -> FloatArray:
    """Signs of all ordered differences, float64 (n, n)."""
    return np.sign(values[:, None] - values[None, :])
