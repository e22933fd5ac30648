"""What no proxy can be expected to pass at equal cost: an additive table that knows the answers."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from gp_emq.correlation import FloatArray, KendallRanker, PairMask

FOLDS = 10
PENALTIES = np.logspace(-2, 3, 15)


def fitted_table_taus(
    configurations: NDArray[np.integer], values: FloatArray, pairs: PairMask, seed: int = 0
) -> tuple[float, float]:
    """Rank configurations by additive tables that are fitted to the values of others.

    A number for each entry and width is fitted by ridge regression to
    ``-log(best + 0.005 - value)`` of nine tenths of the configurations, and predicts the last
    tenth; the penalty is chosen by leaving one out. Proxies are additive tables, too, but see no
    value.

    Args:
        configurations: Widths, (n, entries).
        values: Such as accuracies, higher is better, (n,).
        pairs: Which pairs of configurations are of equal cost, (n, n).
        seed: Of the tenths.

    Returns:
        Kendall tau over those pairs, and over all.
    """
    scores = fitted_scores(configurations, values, seed)
    at_equal_cost, over_all = (
        float(KendallRanker(values, mask).taus(scores[None])[0]) for mask in (pairs, None)
    )
    return at_equal_cost, over_all


def fitted_scores(
    configurations: NDArray[np.integer], values: FloatArray, seed: int = 0
) -> FloatArray:
    """Score each configuration by what is fitted to nine tenths that it is not in, (n,)."""
    scores, places = np.zeros(len(values)), np.arange(len(values))
    for fitted, left in KFold(FOLDS, shuffle=True, random_state=seed).split(places):
        scores[left] = additive_scores(configurations, values, fitted, values.max())[left]
    return scores


def additive_scores(
    configurations: NDArray[np.integer],
    values: FloatArray,
    fitted: NDArray[np.integer],
    best: float,
) -> FloatArray:
    """Fit an additive table to the values of some configurations, and score all by it.

    Args:
        configurations: Widths, (n, entries).
        values: Such as accuracies, higher is better, (n,).
        fitted: Indices of those whose values are known.
        best: What ``-log(best + 0.005 - value)`` is taken from, no less than any known value.

    Returns:
        (n,).
    """
    features = (configurations[:, :, None] == np.unique(configurations)).reshape(len(values), -1)
    wanted = -np.log(best + 0.005 - values[fitted])
    model = RidgeCV(PENALTIES).fit(features[fitted].astype(np.float64), wanted)
    scores: FloatArray = model.predict(features.astype(np.float64))
    return scores
