"""What a table says of a network's loss, corrected by what was measured: a Bayesian linear model.

A plan's loss, less that of the plan that the search starts from, is a sum over entries of unknown
effects. The table is the best guess of them, times one scale, which the start's own loss tells, or
what measured plans lose beside what the table says of them. Which of both, how far entries may be
from the table, and single widths of an entry from their entry, is not decided: what follows from
each choice counts as much as what was measured is evidence for it.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation import Configuration, Problem
from gp_emq.measured._regression import covariance, log_evidence, posterior

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
_LEAST_WEIGHT = 1e-3
"""Of choices of deviations that count, beside the weight of the likeliest."""


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
    """What the table's harms are multiplied by, and how far all is from them, relatively.

    Attributes:
        scale: The factor.
        entry: Deviation of entries.
        width: Of single widths of an entry.
        misfit: Of plans from any sum.
    """

    scale: float
    entry: float
    width: float
    misfit: float


@dataclass(frozen=True, eq=False)
class Effects:
    """What is known of the effects.

    Attributes:
        mean: Of each (entry, width), as `EffectModel.options` orders them.
        covariance: Of them.
        weights: By choice of scale and deviations, how much it counts; together 1.
    """

    mean: FloatArray
    covariance: FloatArray
    weights: Mapping[Hyperparameters, float]


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
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_harm", harm)
        object.__setattr__(self, "_spread", harm + _FLOOR * np.mean(most))

    def row(self, configuration: Configuration) -> FloatArray:
        """Return which options a plan takes, less those of the start."""
        entries, widths = np.array(self.options).T
        taken, before = (np.array(plan)[entries] == widths for plan in (configuration, self.start))
        return np.asarray(taken.astype(np.float64) - before)

    def fitted(self, measured: Sequence[Measurement]) -> Effects:
        """Find the effects, over all choices of scale and deviations by their evidence."""
        if not measured:
            middle = Hyperparameters(self._scale_of_start(), *_MIDDLE)
            return Effects(middle.scale * self._harm, self._prior(middle), {middle: 1.0})
        data = _Data.of(self, measured)
        scales = dict.fromkeys((self._scale_of_start(), data.scale() or self._scale_of_start()))
        choices = [
            Hyperparameters(*four) for four in itertools.product(scales, _ENTRY, _WIDTH, _MISFIT)
        ]
        evidence = np.array([data.evidence(self._prior(one), one) for one in choices])
        weights = np.exp(evidence - evidence.max())
        weights = np.where(weights < _LEAST_WEIGHT, 0.0, weights)
        weights /= weights.sum()
        by_choice = {
            one: float(weight) for one, weight in zip(choices, weights, strict=True) if weight
        }
        mean, second = np.zeros_like(self._harm), np.zeros((len(self._harm),) * 2)
        for one, weight in by_choice.items():
            found, known = data.effects(self._prior(one), one)
            mean += weight * found
            second += weight * (known + np.outer(found, found))
        return Effects(mean, second - np.outer(mean, mean), by_choice)

    def left_out(self, measured: Sequence[Measurement], effects: Effects) -> FloatArray:
        """Predict every difference from all the others, by choices as they were found.

        Returns:
            Of each measurement, (n,).
        """
        data = _Data.of(self, measured)
        predicted = [
            weight * data.left_out(self._prior(one), one) for one, weight in effects.weights.items()
        ]
        return np.asarray(np.sum(predicted, axis=0))

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

    def _scale_of_start(self) -> float:
        """Say by what the table's harms are multiplied, so that the start's is its loss."""
        taken = [self.options.index(pair) for pair in enumerate(self.start)]
        total = float(self._harm[taken].sum())
        return self.loss / total if total > 0 and self.loss > 0 else 1.0

    def _prior(self, chosen: Hyperparameters) -> FloatArray:
        entries = np.array([entry for entry, _ in self.options])
        same = entries[:, None] == entries
        spread, harm = chosen.scale * self._spread, chosen.scale * self._harm
        shared: FloatArray = chosen.entry**2 * np.outer(spread, spread) * same
        own = np.diag((chosen.width * spread) ** 2)
        # The scale is as uncertain as it is large.
        return shared + own + np.outer(harm, harm)


@dataclass(frozen=True, eq=False)
class _Data:
    """Measurements as arrays, with what the table says of them."""

    rows: FloatArray
    differences: FloatArray
    variances: FloatArray
    losses: FloatArray
    harm: FloatArray

    @classmethod
    def of(cls, model: EffectModel, measured: Sequence[Measurement]) -> "_Data":
        rows = [model.row(item.configuration) for item in measured]
        differences = np.array([item.difference for item in measured])
        return cls(
            np.array(rows).reshape(-1, len(model.options)),
            differences,
            np.array([item.variance for item in measured]),
            abs(model.loss) + np.abs(differences),
            model._harm,
        )

    def scale(self) -> float:
        """Compare what plans lose, beyond noise, with what the table says; 0 where that is vain."""
        said = float(np.abs(self.rows @ self.harm).sum())
        lost = float(np.sqrt((self.differences**2 - self.variances).clip(0)).sum())
        return lost / said if said > 0 else 0.0

    def _noise(self, chosen: Hyperparameters) -> FloatArray:
        # What no sum says grows with the loss: a plan that breaks the network tells little.
        return np.asarray(self.variances + (chosen.misfit * self.losses) ** 2)

    def _surplus(self, chosen: Hyperparameters) -> FloatArray:
        """What plans lose beyond what the table says."""
        return np.asarray(self.differences - chosen.scale * self.rows @ self.harm)

    def evidence(self, prior: FloatArray, chosen: Hyperparameters) -> float:
        """Logarithm of the evidence, and of a mild belief in the middle."""
        found = (chosen.entry, chosen.width, chosen.misfit)
        off = sum(
            (np.log(value / middle) / _DECADE) ** 2
            for value, middle in zip(found, _MIDDLE, strict=True)
        )
        said = log_evidence(prior, self.rows, self._noise(chosen), self._surplus(chosen))
        return said - float(off) / 2

    def effects(self, prior: FloatArray, chosen: Hyperparameters) -> tuple[FloatArray, FloatArray]:
        """Give mean and covariance of the effects."""
        mean, known = posterior(prior, self.rows, self._noise(chosen), self._surplus(chosen))
        return chosen.scale * self.harm + mean, known

    def left_out(self, prior: FloatArray, chosen: Hyperparameters) -> FloatArray:
        # Source: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq. 5.12.
        inverse = np.linalg.inv(covariance(prior, self.rows, self._noise(chosen)))
        surplus = self._surplus(chosen)
        found: FloatArray = surplus - (inverse @ surplus) / np.diag(inverse)
        return np.asarray(self.rows @ (chosen.scale * self.harm) + found)
