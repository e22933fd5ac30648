"""Kendall's tau of 200 candidates on 425 configurations against scipy in a loop."""

import numpy as np
from scipy import stats

from benchmarks.timing import Row, compare
from gp_emq.correlation import KendallRanker

CANDIDATES, CONFIGURATIONS = 200, 425


def benchmark() -> list[Row]:
    """Measure with the ties that real accuracies and real scores have."""
    rng = np.random.default_rng(0)
    accuracies = np.round(rng.random(CONFIGURATIONS), 4)
    scores = rng.normal(size=(CANDIDATES, CONFIGURATIONS)) + 3 * accuracies
    scores[::4] = np.round(scores[::4], 1)

    def loop() -> list[float]:
        return [float(stats.kendalltau(row, accuracies).statistic) for row in scores]

    row = compare(
        f"Kendall tau of {CANDIDATES} candidates, {CONFIGURATIONS} configurations",
        lambda: KendallRanker(accuracies).taus(scores),
        "scipy.stats.kendalltau in a loop",
        loop,
        repeats=9,
    )
    return [row]
