from ._bootstrap import (
    Figure,
    bootstrap_interval,
    draw_weights,
    figure,
    interval,
    resampled_taus,
    tau_on,
    whole,
)
from ._pairs import WINDOW, PairMask, among, at_equal_cost, why_no_pairs
from ._partial import partial_kendall
from ._ranker import KendallRanker, Ranker
from ._scores import FloatArray, kendall_tau, mean_ranks, rounded, tau_b, why_unrankable
from ._weighted import (
    Correlation,
    kendall,
    kendall_of_pairs,
    pearson,
    spearman,
    spearman_top,
)

__all__ = [
    "WINDOW",
    "Correlation",
    "Figure",
    "FloatArray",
    "KendallRanker",
    "PairMask",
    "Ranker",
    "among",
    "at_equal_cost",
    "bootstrap_interval",
    "draw_weights",
    "figure",
    "interval",
    "kendall",
    "kendall_of_pairs",
    "kendall_tau",
    "mean_ranks",
    "partial_kendall",
    "pearson",
    "resampled_taus",
    "rounded",
    "spearman",
    "spearman_top",
    "tau_b",
    "tau_on",
    "whole",
    "why_no_pairs",
    "why_unrankable",
]
