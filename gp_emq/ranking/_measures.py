"""The measures of a ranking, by name."""

from collections.abc import Mapping

from gp_emq.correlation import (
    Correlation,
    FloatArray,
    at_equal_cost,
    kendall,
    kendall_of_pairs,
    partial_kendall,
    pearson,
    spearman,
    spearman_top,
)

KENDALL = "kendall"
"""The measure that sorts, and that proxies are compared by."""

AT_EQUAL_SIZE = "kendall_at_equal_size"
"""Kendall's tau over the pairs of configurations of about the same size."""

TITLES: Mapping[str, str] = {
    KENDALL: "tau",
    AT_EQUAL_SIZE: "tau = size",
    "spearman": "rho",
    "pearson": "r",
    "spearman_top_50": "rho top 50%",
    "spearman_top_20": "rho top 20%",
    "kendall_given_bits": "tau | bits",
    "kendall_given_size": "tau | size",
}
"""Short title of each measure: Kendall's tau-b, the same over pairs of about equal size,
Spearman's rho, Pearson's r, rho among what the proxy puts on top, and Kendall's partial tau at
fixed sum of bits and model size."""


def measures(bits: FloatArray, sizes: FloatArray) -> dict[str, Correlation]:
    """Give every measure.

    Args:
        bits: Sum of bits of each configuration, (n,).
        sizes: Model size of each, (n,).
    """
    return {
        KENDALL: kendall,
        AT_EQUAL_SIZE: kendall_of_pairs(at_equal_cost(sizes)),
        "spearman": spearman,
        "pearson": pearson,
        "spearman_top_50": spearman_top(0.5),
        "spearman_top_20": spearman_top(0.2),
        "kendall_given_bits": partial_kendall(bits),
        "kendall_given_size": partial_kendall(sizes),
    }
