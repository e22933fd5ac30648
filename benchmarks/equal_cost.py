"""Compare two judgements of proxies, over all pairs and at equal cost: one table of many benches.

``python -m benchmarks.equal_cost [BENCH ...]`` takes all configurations of each bench. Rows are
kept as they are measured, and a killed call goes on from them.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from gp_emq.command import run_command
from gp_emq.correlation import KendallRanker, at_equal_cost, rounded
from gp_emq.errors import BenchError
from gp_emq.files import read_document
from gp_emq.mqbench import list_benches, load_bench, model_sizes
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.proxies import configuration_scores
from gp_emq.ranking import RankedBench
from gp_emq.statistics import default_cache
from gp_emq.store import atomic_write_text
from gp_emq.zoo_benches import PROXIES, known_proxies, proxy_tables

Judged = dict[str, tuple[float, float]]
"""By name of a proxy, tau over all pairs and concordance at equal cost."""


def measure(name: str, cache: Path | None) -> Judged:
    """Judge the proxies on all configurations of a bench.

    Args:
        name: Of the bench.
        cache: Folder that keeps statistics and tables.

    Returns:
        For each proxy that the network has a table of: tau, and concordance at equal cost.
    """
    target = RankedBench.load(name, weights=None, data=(), cache=cache)
    bench, inputs = target.bench, target.inputs
    tables = proxy_tables(
        known_proxies(),
        inputs.network.layers,
        inputs.calibration,
        bits=bench.bits,
        quantizer=inputs.quantizer,
        cache=cache,
    )
    costs = model_sizes(bench)
    over_all = KendallRanker(bench.accuracies)
    equal = KendallRanker(bench.accuracies, at_equal_cost(costs))
    choices = np.searchsorted(np.asarray(bench.bits), bench.configurations)
    found = {}
    for proxy, table in tables.items():
        scores = rounded(
            configuration_scores((table - table.mean(axis=1, keepdims=True))[None], choices)
        )
        found[proxy] = (float(over_all.taus(scores)[0]), float(equal.taus(scores)[0]))
    return found


def table_of(rows: dict[str, Judged]) -> list[str]:
    """Lay proxies against benches: tau over all pairs / concordance at equal cost, and means."""
    names = [name for name in PROXIES if any(name in row for row in rows.values())]
    means = {
        name: np.nanmean([row.get(name, (np.nan, np.nan)) for row in rows.values()], axis=0)
        for name in names
    }
    lines = ["| proxy | mean | " + " | ".join(rows) + " |", "|---|---|" + "---|" * len(rows)]
    for name in sorted(names, key=lambda name: -means[name][1]):
        cells = [_cell(row.get(name)) for row in rows.values()]
        lines.append(f"| {name} | {_cell(tuple(means[name]))} | " + " | ".join(cells) + " |")
    lines += ["", "Kendall tau between the two orders of the proxies:"]
    lines += [f"- {bench}: {_agreement(row):.2f}" for bench, row in rows.items()]
    return lines


def _agreement(row: Judged) -> float:
    pairs = np.array(list(row.values()))
    return float(stats.kendalltau(pairs[:, 0], pairs[:, 1]).statistic)


def _cell(values: Sequence[float] | None) -> str:
    return "–" if values is None else f"{values[0]:.2f} / {values[1]:.2f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0.

    Raises:
        GpEmqError: A bench is unknown, or the rows cannot be kept.
    """
    parser = OptionParser(prog="python -m benchmarks.equal_cost", description=__doc__)
    parser.add_argument("bench", nargs="*", help="names (default: all that ship with how each "
                        "configuration was chosen)")  # fmt: skip
    parser.add_argument("--rows", type=OutputFile(), required=True, metavar="FILE.json")
    options: argparse.Namespace = parser.parse_args(arguments)
    names = options.bench or [name for name in list_benches() if load_bench(name).chosen]
    kept: dict[str, Judged] = {}
    if options.rows.exists():
        kept = read_document(options.rows, dict[str, Judged], BenchError, "the rows")
    for name in names:
        if name not in kept:
            kept[name] = measure(name, default_cache())
            atomic_write_text(options.rows, json.dumps(kept, indent=1))
            sys.stderr.write(f"{name}\n")
    sys.stdout.writelines(f"{line}\n" for line in table_of({name: kept[name] for name in names}))
    return 0


if __name__ == "__main__":
    run_command(main)
