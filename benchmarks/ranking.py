"""Kendall's tau of many candidates on 425 configurations against scipy, and at equal cost."""

import numpy as np
from scipy import stats

from benchmarks.timing import Row, compare
from gp_emq.correlation import KendallRanker, at_equal_cost

CONFIGURATIONS = 425


def benchmark(candidates: int = 200) -> list[Row]:
    """Measure with the ties that real accuracies and real scores have."""
    rng = np.random.default_rng(0)
    accuracies = np.round(rng.random(CONFIGURATIONS), 4)
    scores = rng.normal(size=(candidates, CONFIGURATIONS)) + 3 * accuracies
    scores[::4] = np.round(scores[::4], 1)
    pairs = at_equal_cost(rng.random(CONFIGURATIONS))
    # Scipy knows no masks; this is what numpy gives where each pair is looked at once.
    left, right = np.nonzero(np.triu(pairs))
    by_accuracy = np.sign(accuracies[left] - accuracies[right])

    def loop() -> list[float]:
        return [float(stats.kendalltau(row, accuracies).statistic) for row in scores]

    def masked_loop() -> list[float]:
        taus = []
        for row in scores:
            by_score = np.sign(row[left] - row[right])
            untied = np.abs(by_score).sum() * np.abs(by_accuracy).sum()
            taus.append(float((by_score * by_accuracy).sum() / np.sqrt(untied)))
        return taus

    def left_out() -> list[object]:
        """Signs of all pairs, of which each configuration's own row and column are taken away."""
        by_accuracy = np.sign(accuracies[:, None] - accuracies)
        taus: list[object] = []
        for row in scores:
            by_score = np.sign(row[:, None] - row)
            agreement, untied, others = (
                of_each.sum() - 2 * of_each
                for of_each in (
                    np.einsum("ij,ij->i", by_score, by_accuracy),
                    np.abs(by_score).sum(axis=1),
                    np.abs(by_accuracy).sum(axis=1),
                )
            )
            taus.append(agreement / np.sqrt(untied * others))
        return taus

    what = f"{candidates} candidates, {CONFIGURATIONS} configurations"
    return [
        compare(
            f"Kendall tau of {what}",
            lambda: KendallRanker(accuracies).taus(scores),
            "scipy.stats.kendalltau in a loop",
            loop,
            repeats=9,
        ),
        compare(
            f"tau at equal cost of {what}",
            lambda: KendallRanker(accuracies, pairs).taus(scores),
            "numpy over the pairs in a loop",
            masked_loop,
            repeats=9,
        ),
        compare(
            f"tau with each configuration left out in turn, of {what}",
            lambda: list(map(KendallRanker(accuracies).left_out, scores)),
            "numpy over the matrix of all pairs",
            left_out,
            repeats=3,
        ),
    ]
