"""Kendall's partial tau: what a proxy says beyond a quantity that predicts accuracy by itself."""

import numpy as np

from gp_emq.correlation._scores import FloatArray
from gp_emq.correlation._weighted import Correlation, kendall


def partial_kendall(control: FloatArray) -> Correlation:
    """Kendall's tau of scores and accuracies at fixed control.

    Source: Kendall, A new measure of rank correlation's extension in Partial rank
    correlation, 1942: (τ_sa − τ_sc τ_ac) / √((1 − τ_sc²)(1 − τ_ac²)).

    Args:
        control: What is held fixed, (n,): the sum of bits, or the model size.

    Returns:
        A function as `kendall`; its value is nan where scores or accuracies are the control
        but for order-preserving changes, or are constant.
    """

    def correlate(scores: FloatArray, accuracies: FloatArray, weights: FloatArray) -> FloatArray:
        direct = kendall(scores, accuracies, weights)
        by_scores = kendall(scores, control, weights)
        by_accuracies = kendall(accuracies, control, weights)
        rest = (1 - by_scores**2) * (1 - by_accuracies**2)
        # Below this the scores are the control itself and what is left is rounding.
        values = np.full_like(direct, np.nan)
        np.divide(direct - by_scores * by_accuracies, np.sqrt(rest), out=values, where=rest > 1e-9)
        clipped: FloatArray = np.clip(values, -1.0, 1.0)
        return clipped

    return correlate
