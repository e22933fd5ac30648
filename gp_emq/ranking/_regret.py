"""The accuracy lost by trusting a proxy at a budget."""

from dataclasses import dataclass

import numpy as np

from gp_emq.correlation import FloatArray

BUDGET_SHARES = (0.25, 0.5, 0.75)
"""Budgets are these quantiles of the configurations' model sizes."""


@dataclass(frozen=True)
class SizeBudget:
    """A model size that must not be exceeded.

    Attributes:
        share: Which quantile of the configurations' sizes it is.
        size: The size, in the unit of the sizes it was made from.
    """

    share: float
    size: float


def budgets_of(sizes: FloatArray) -> tuple[SizeBudget, ...]:
    """Make the three budgets of a set of configurations.

    Args:
        sizes: Model size of each configuration, (n,).
    """
    return tuple(
        SizeBudget(share, float(np.quantile(sizes, share, method="higher")))
        for share in BUDGET_SHARES
    )


def regret(
    scores: FloatArray, accuracies: FloatArray, sizes: FloatArray, budget: SizeBudget
) -> float:
    """Measure what picking by a proxy costs within a budget.

    Args:
        scores: (n,).
        accuracies: Measured top-1, (n,).
        sizes: Model sizes, (n,).
        budget: The budget; at least one configuration must fit.

    Returns:
        Best accuracy within the budget less the accuracy of the configuration with the
        highest score; the mean accuracy of those that share the highest score.
    """
    inside = sizes <= budget.size
    best = scores[inside].max()
    picked = accuracies[inside][scores[inside] == best]
    # The mean of equal numbers need not be that number; the mean of their differences is 0.
    return float((accuracies[inside].max() - picked).mean())
