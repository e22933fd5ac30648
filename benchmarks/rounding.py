"""What formulas gain that see weights as they will be rounded: ``python -m benchmarks.rounding``.

On benches of learned rounding, each proxy ranks all configurations twice: by statistics of weights
that are rounded to nearest, with batch norms by the images' own statistics, and by those of the
weights that the bench's recipe learned, with batch norms as trained. Those of search and validation
networks are the default, by which it was decided that formulas see the second.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gp_emq.command import run_command
from gp_emq.correlation import KendallRanker
from gp_emq.errors import BenchError
from gp_emq.options import OptionParser
from gp_emq.proxies.loading import load_proxy
from gp_emq.quantization.recipes import find_recipe
from gp_emq.ranking import RankedBench, score
from gp_emq.statistics import default_cache

BENCHES = tuple(
    f"{kind}-digits-adaround-channel"
    for kind in (
        "plain", "narrow", "separable", "bottleneck", "attentive", "gated", "branched",
        "excite", "wide", "shuffled", "axial",
    )
)  # fmt: skip
"""Of networks of the search, then of validation."""
PROXIES = ("gp-views", "gp-divergence", "gp-measured", "gp-gradient", "fit_trace")
NEAREST, LEARNED = "nearest", "learned"

Taus = dict[tuple[str, str], float]
"""Kendall tau at equal cost by proxy, and by how the weights that it saw were rounded."""


def measure(name: str, proxies: Sequence[str]) -> Taus:
    """Rank the configurations of a bench by each proxy, twice.

    Raises:
        BenchError: The bench learns nothing of single layers, or a proxy has no scores on it.
    """
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    protocol = target.inputs.protocol
    if protocol is None or not find_recipe(protocol.recipe).learns_layers:
        raise BenchError(f"{name} rounds to nearest: give benches of learned rounding")
    nearest = replace(target, inputs=replace(target.inputs, protocol=None, renormed=True))
    pairs = target.pairs_at_equal_size(target.indices("all"))
    ranker = KendallRanker(target.bench.oriented, pairs)
    found: Taus = {}
    for seen, one in ((NEAREST, nearest), (LEARNED, target)):
        inputs = one.proxy_inputs()
        for proxy in proxies:
            scored = score(load_proxy(proxy), inputs, target.bench)
            if scored.scores is None:
                raise BenchError(f"{name}: {proxy} has no scores: {scored.note}")
            found[proxy, seen] = float(ranker.taus(scored.scores[None])[0])
    return found


def table_of(rows: Mapping[str, Taus]) -> list[str]:
    """Lay out benches against proxies, as lines of Markdown; a pair says nearest, then learned."""
    proxies = list(dict.fromkeys(proxy for taus in rows.values() for proxy, _ in taus))
    lines = ["| bench | " + " | ".join(f"`{proxy}`" for proxy in proxies) + " |"]
    lines.append("|---|" + "---:|" * len(proxies))
    means = {key: float(np.mean([taus[key] for taus in rows.values()])) for key in _keys(proxies)}
    for name, taus in {**{f"`{name}`": taus for name, taus in rows.items()}, "mean": means}.items():
        pairs = (f"{taus[proxy, NEAREST]:.3f}, {taus[proxy, LEARNED]:.3f}" for proxy in proxies)
        lines.append(f"| {name} | " + " | ".join(pairs) + " |")
    return lines


def _keys(proxies: Sequence[str]) -> list[tuple[str, str]]:
    return [(proxy, seen) for proxy in proxies for seen in (NEAREST, LEARNED)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.rounding", description=__doc__)
    parser.add_argument("bench", nargs="*", help=f"names (default: {' '.join(BENCHES)})")
    parser.add_argument("--proxies", nargs="+", default=PROXIES, metavar="PROXY")
    options = parser.parse_args(arguments)
    for proxy in options.proxies:
        load_proxy(proxy)
    rows: dict[str, Taus] = {}
    for name in options.bench or BENCHES:
        rows[name] = measure(name, options.proxies)
        sys.stderr.write(f"{name}\n")
    sys.stdout.writelines(f"{line}\n" for line in table_of(rows))
    return 0


if __name__ == "__main__":
    run_command(main)
