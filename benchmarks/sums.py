"""Rank all sums of a few terms, each scaled to its range: ``python -m benchmarks.sums``.

What evolution puts together is mostly sums of a few views of the same harm. So few terms can be
tried in all sums; those that are best on the networks of the search stand first, with what they
come to on the validation networks. All configurations of each bench count.
"""

import itertools
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.zoo import BENCHES
from gp_emq.command import run_command
from gp_emq.correlation import FloatArray, KendallRanker
from gp_emq.errors import BenchError
from gp_emq.mqbench import load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import SEARCH, VALIDATION
from gp_emq.options import OptionParser, positive
from gp_emq.proxies.loading import expression_proxy
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache

VIEWS = {
    "H": "curvature_form",
    "G": "add(multiply(curvature_form, min_max(channel_output_residual)), "
    "sqrt(gradient_output_change))",
    "D": "measured_divergence",
    "DR": "recipe_divergence",
    "D0R": "recipe_divergence_low",
    "DsR": "recipe_divergence_sound",
}
"""Views of what a width costs; G is what `gp-gradient` says."""
FORMS = {
    "": "min_max({})",
    "root ": "sqrt(min_max({}))",
    "levelled ": "min_max(sigmoid(z_normalise({})))",
}
"""Ways to scale a view to its range over the table."""
TERMS = {
    form + view: template.format(expression)
    for view, expression in VIEWS.items()
    for form, template in FORMS.items()
} | {"root H + root D": "min_max(add(sqrt(curvature_form), sqrt(measured_divergence)))"}


def sums_of(count: int, most: int) -> list[tuple[int, ...]]:
    """Give all sets of up to so many of the numbers below a count, the small ones first."""
    return [
        chosen
        for size in range(1, most + 1)
        for chosen in itertools.combinations(range(count), size)
    ]


def taus_of_sums(
    scores: FloatArray, chosen: Sequence[tuple[int, ...]], ranker: KendallRanker
) -> FloatArray:
    """Rank configurations by sums of scores.

    Args:
        scores: Of each term, (terms, n).
        chosen: The terms of each sum.
        ranker: Knows the accuracies.

    Returns:
        (sums,).
    """
    return ranker.taus(np.stack([scores[list(some)].sum(axis=0) for some in chosen]))


def measure(name: str, chosen: Sequence[tuple[int, ...]]) -> FloatArray:
    """Give Kendall tau at equal cost of all sums on a bench, (sums,).

    Raises:
        BenchError: A term has no table there.
    """
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    inputs, rows = target.proxy_inputs(), []
    for term, expression in TERMS.items():
        scored = score(expression_proxy(expression), inputs, target.bench)
        if scored.scores is None:
            raise BenchError(f"{name}: {term} has no scores: {scored.note}")
        rows.append(scored.scores)
    pairs = target.pairs_at_equal_size(target.indices("all"))
    return taus_of_sums(np.stack(rows), chosen, KendallRanker(target.bench.oriented, pairs))


def table_of(
    found: Mapping[str, FloatArray], chosen: Sequence[tuple[int, ...]], best: int
) -> list[str]:
    """Lay the best sums out.

    Args:
        found: By name of the bench, taus of the sums.
        chosen: Terms of the sums.
        best: How many to show.

    Returns:
        Lines of Markdown: means over the benches of the search, by which sums are sorted, and over
        those of validation.
    """
    parts = {name: part_of(load_bench(name).network) for name in found}
    means = {
        part: np.mean([found[name] for name in found if parts[name] == part], axis=0)
        for part in (SEARCH, VALIDATION)
        if part in parts.values()
    }
    titles = [f"{part} ({list(parts.values()).count(part)})" for part in means]
    lines = ["| sum of | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    names = list(TERMS)
    for place in np.argsort(-next(iter(means.values())), kind="stable")[:best]:
        cells = [f"{values[place]:.3f}" for values in means.values()]
        terms = ", ".join(names[term] for term in chosen[place])
        lines.append(f"| {terms} | " + " | ".join(cells) + " |")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.sums", description=__doc__)
    parser.add_argument("bench", nargs="*", help="names (default: all of search and validation)")
    parser.add_argument("--most", type=positive, default=3, metavar="N", help="terms of a sum")
    parser.add_argument("--best", type=positive, default=20, metavar="N", help="sums to show")
    options = parser.parse_args(arguments)
    names = options.bench or [
        name for name in BENCHES if part_of(load_bench(name).network) in (SEARCH, VALIDATION)
    ]
    chosen = sums_of(len(TERMS), options.most)
    found = {}
    for name in names:
        found[name] = measure(name, chosen)
        sys.stderr.write(f"{name}\n")
    sys.stdout.writelines(f"{line}\n" for line in table_of(found, chosen, options.best))
    return 0


if __name__ == "__main__":
    run_command(main)
