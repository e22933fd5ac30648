"""What no proxy can beat: the noise of the accuracies, and the form of a table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_emq.ranking._bootstrap import whole
from gp_emq.ranking._weighted import FloatArray, kendall

HALVES = 50
"""Random splits of the test images into halves."""

FOLDS = 10
"""Folds of the additive ceiling where the configurations asked about were fitted on."""

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridge penalties that the validation configurations choose from."""


@dataclass(frozen=True)
class NoiseCeiling:
    """How far the noise of measured accuracies lets any proxy come.

    Attributes:
        reliability: Mean Kendall tau between accuracies on random halves of the test images.
        ceiling: Kendall tau that the noise-free accuracies would reach with the measured.
    """

    reliability: float
    ceiling: float


def noise_ceiling(right: NDArray[np.bool_], *, seed: int = 0) -> NoiseCeiling:
    """Estimate the noise ceiling from which image each configuration got right.

    The tau of two halves is turned into a correlation of Gaussians by τ = 2/π arcsin r,
    brought to the full number of images by the Spearman-Brown formula 2r/(1 + r), whose root
    is the correlation of measured with noise-free values, and turned back.

    Args:
        right: (n, images).
        seed: Which halves.

    Returns:
        The ceiling; nan where accuracies do not differ.
    """
    rng = np.random.default_rng(seed)
    images = right.shape[1]
    counts = right.astype(np.float64)
    taus = []
    for _ in range(HALVES):
        mask = np.zeros(images)
        mask[rng.permutation(images)[: images // 2]] = 1.0
        one, other = counts @ mask, counts @ (1.0 - mask)
        taus.append(float(kendall(one, other, whole(len(counts)))[0]))
    reliability = float(np.mean(taus))
    half = max(0.0, np.sin(np.pi / 2 * reliability))
    full = 2 * half / (1 + half)
    return NoiseCeiling(reliability, float(2 / np.pi * np.arcsin(np.sqrt(full))))


def additive_scores(
    choices: NDArray[np.intp],
    accuracies: FloatArray,
    *,
    training: NDArray[np.intp],
    validation: NDArray[np.intp],
    asked: NDArray[np.intp],
) -> FloatArray:
    """Score configurations by the table that fits the training accuracies best.

    The table is a ridge regression of accuracy on each entry's width. Its penalty is the one
    with the highest tau on the validation configurations. Where a configuration that is asked
    about is a training one, a fit without its fold scores it.

    Args:
        choices: Index of each entry's width, (n, entries).
        accuracies: (n,).
        training: Indices of configurations to fit on.
        validation: Indices of configurations to choose the penalty on.
        asked: Indices of configurations to score.

    Returns:
        Scores of the configurations asked about, in their order.
    """
    features = _one_hot(choices)

    def fitted(rows: NDArray[np.intp], penalty: float) -> FloatArray:
        return _ridge(features[rows], accuracies[rows], penalty)

    def quality(penalty: float) -> float:
        predicted = features[validation] @ fitted(training, penalty)
        tau = kendall(predicted, accuracies[validation], whole(len(validation)))[0]
        return float(np.nan_to_num(tau, nan=-1.0))

    penalty = max(PENALTIES, key=quality) if len(validation) else PENALTIES[2]
    scores: FloatArray = features @ fitted(training, penalty)
    folds = np.array_split(np.random.default_rng(0).permutation(training), FOLDS)
    inside = np.isin(training, asked)
    for fold in folds if inside.any() else []:
        rest = np.setdiff1d(training, fold)
        scores[fold] = features[fold] @ fitted(rest, penalty)
    result: FloatArray = scores[asked]
    return result


def _one_hot(choices: NDArray[np.intp]) -> FloatArray:
    """Indicators of (entry, width) pairs and a constant, (n, entries · widths + 1)."""
    widths = int(choices.max()) + 1
    indicators = (choices[:, :, None] == np.arange(widths)).reshape(len(choices), -1)
    return np.concatenate([indicators.astype(np.float64), np.ones((len(choices), 1))], axis=1)


def _ridge(features: FloatArray, target: FloatArray, penalty: float) -> FloatArray:
    """Least squares with a penalty on all but the constant."""
    penalties = np.full(features.shape[1], penalty)
    penalties[-1] = 1e-9
    solution: FloatArray = np.linalg.solve(
        features.T @ features + np.diag(penalties), features.T @ target
    )
    return solution
