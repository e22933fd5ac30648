"""What a table says of a network's loss, corrected by what was measured: a Bayesian linear model.

A plan's loss, less that of the plan that the search starts from, is a sum over entries of unknown
effects. Before anything is measured the table is the best guess of them, times one scale that the
start's own loss tells; how far entries may be from it, and single widths of an entry from their
entry, are chosen by the evidence of what was measured.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from gp_emq.allocation import Configuration, Problem

FloatArray = NDArray[np.float64]

NODES = 40
"""Of the integer programs that propose plans: a near optimum proposes as well as the optimum."""
_FLOOR = 0.05
"""Share of an average entry's harm that every entry may have, whatever the table says."""
_ENTRY = (0.1, 0.3, 1.0, 2.0)
_WIDTH = (0.05, 0.2, 0.6)
_MISFIT = (0.03, 0.1, 0.3)
_MIDDLE = (0.5, 0.2, 0.1)
"""Deviations, relative to the table's harm, of entries and of widths; of a plan's loss from any
sum, relative to the loss; and what each is taken for as long as nothing tells."""
_DECADE = 1.5
"""Natural logarithm by which a deviation may be off at one standard deviation."""


@dataclass(frozen=True)
class Measurement:
    """A plan's mean loss less that of the start on the same samples.

    Attributes:
        configuration: The plan.
        difference: The mean.
        variance: Of the mean, from sample to sample.
    """

    configuration: Configuration
    difference: float
    variance: float


@dataclass(frozen=True)
class Hyperparameters:
    """Relative deviations: of entries, of single widths, and of plans from any sum."""

    entry: float
    width: float
    misfit: float


@dataclass(frozen=True, eq=False)
class Effects:
    """What is known of the effects.

    Attributes:
        mean: Of each (entry, width), as `EffectModel.options` orders them.
        covariance: Of them.
        hyperparameters: With which they were found.
    """

    mean: FloatArray
    covariance: FloatArray
    hyperparameters: Hyperparameters


@dataclass(frozen=True, eq=False)
class EffectModel:
    """Effects of entries and widths on a loss.

    Attributes:
        problem: Whose scores are the guess before anything is measured.
        start: The plan that differences are taken to.
        loss: Its mean loss.
    """

    problem: Problem
    start: Configuration
    loss: float
    options: tuple[tuple[int, int], ...] = field(init=False)
    _harm: FloatArray = field(init=False)
    _spread: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        """Turn scores into harms: what a width loses on the best of its entry."""
        harms, most = [], []
        for entry, widths in enumerate(self.problem.space.widths):
            scores = np.array([self.problem.scores[entry, width] for width in widths])
            harms.append(scores.max() - scores)
            most.append(float(harms[-1].max()))
        options = tuple(
            (entry, width)
            for entry, widths in enumerate(self.problem.space.widths)
            for width in widths
        )
        harm = np.concatenate(harms)
        total = float(harm[[options.index(pair) for pair in enumerate(self.start)]].sum())
        scale = max(self.loss, 0.0) / total if total > 0 else 1.0
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_harm", scale * harm)
        object.__setattr__(self, "_spread", scale * (harm + _FLOOR * np.mean(most)))

    def row(self, configuration: Configuration) -> FloatArray:
        """Return which options a plan takes, less those of the start."""
        row = np.zeros(len(self.options))
        for place, (entry, width) in enumerate(self.options):
            row[place] = float(configuration[entry] == width) - float(self.start[entry] == width)
        return row

    def fitted(self, measured: Sequence[Measurement]) -> Effects:
        """Find the effects, with the deviations of greatest evidence."""
        if not measured:
            middle = Hyperparameters(*_MIDDLE)
            return Effects(self._harm, self._prior(middle), middle)
        data = _Data.of(self, measured)
        choices = [Hyperparameters(*three) for three in itertools.product(_ENTRY, _WIDTH, _MISFIT)]
        best = max(choices, key=lambda chosen: data.evidence(self._prior(chosen), chosen))
        return data.effects(self._prior(best), best)

    def left_out(self, measured: Sequence[Measurement], effects: Effects) -> FloatArray:
        """Predict every difference from all the others, with deviations as they were found.

        Returns:
            Of each measurement, (n,).
        """
        chosen = effects.hyperparameters
        return _Data.of(self, measured).left_out(self._prior(chosen), chosen)

    def drawn(self, effects: Effects, generator: np.random.Generator, count: int) -> FloatArray:
        """Draw what effects may be, (count, options)."""
        values, vectors = np.linalg.eigh((effects.covariance + effects.covariance.T) / 2)
        normal = generator.standard_normal((count, len(values)))
        spread: FloatArray = (normal * np.sqrt(values.clip(0))) @ vectors.T
        return np.asarray(effects.mean + spread)

    def problem_of(self, effects: FloatArray) -> Problem:
        """Return the problem with effects as its scores."""
        scores = {pair: -float(value) for pair, value in zip(self.options, effects, strict=True)}
        return replace(self.problem, scores=scores)

    def _prior(self, chosen: Hyperparameters) -> FloatArray:
        entries = np.array([entry for entry, _ in self.options])
        same = entries[:, None] == entries
        shared: FloatArray = chosen.entry**2 * np.outer(self._spread, self._spread) * same
        own = np.diag((chosen.width * self._spread) ** 2)
        # The scale is as uncertain as it is large.
        return shared + own + np.outer(self._harm, self._harm)


@dataclass(frozen=True, eq=False)
class _Data:
    """Measurements as arrays, with what the table says of them."""

    rows: FloatArray
    surplus: FloatArray
    variances: FloatArray
    losses: FloatArray
    guess: FloatArray

    @classmethod
    def of(cls, model: EffectModel, measured: Sequence[Measurement]) -> "_Data":
        rows = np.stack([model.row(item.configuration) for item in measured])
        differences = np.array([item.difference for item in measured])
        return cls(
            rows,
            differences - rows @ model._harm,
            np.array([item.variance for item in measured]),
            abs(model.loss) + np.abs(differences),
            model._harm,
        )

    def _of(self, prior: FloatArray, chosen: Hyperparameters) -> FloatArray:
        """Covariance of the differences, (n, n)."""
        # What no sum says grows with the loss: a plan that breaks the network tells little.
        noise = self.variances + (chosen.misfit * self.losses) ** 2
        whole: FloatArray = self.rows @ prior @ self.rows.T + np.diag(noise)
        tiny = 1e-12 * np.trace(whole) / len(whole) + 1e-300
        return np.asarray(whole + tiny * np.eye(len(whole)))

    def evidence(self, prior: FloatArray, chosen: Hyperparameters) -> float:
        """Logarithm of the evidence, and of a mild belief in the middle."""
        factor = cho_factor(self._of(prior, chosen), lower=True)
        fit = float(self.surplus @ cho_solve(factor, self.surplus))
        found = (chosen.entry, chosen.width, chosen.misfit)
        off = sum(
            (np.log(value / middle) / _DECADE) ** 2
            for value, middle in zip(found, _MIDDLE, strict=True)
        )
        return -fit / 2 - float(np.log(np.diag(factor[0])).sum()) - float(off) / 2

    def effects(self, prior: FloatArray, chosen: Hyperparameters) -> Effects:
        factor = cho_factor(self._of(prior, chosen), lower=True)
        gain = cho_solve(factor, self.rows @ prior).T
        mean: FloatArray = self.guess + gain @ self.surplus
        return Effects(mean, prior - gain @ self.rows @ prior, chosen)

    def left_out(self, prior: FloatArray, chosen: Hyperparameters) -> FloatArray:
        # Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.12.
        inverse = np.linalg.inv(self._of(prior, chosen))
        found: FloatArray = self.surplus - (inverse @ self.surplus) / np.diag(inverse)
        return self.rows @ self.guess + found
