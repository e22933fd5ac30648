"""What noise tells of whole configurations, and beside formulas: ``python -m benchmarks.wholes``.

Each configuration of a bench is quantized, and its outputs are compared with the float network's on
the calibration images, with noise on them of several levels, each image once or several times. That
divergence ranks the configurations alone, and times the harm that a formula's table says. By means
over the networks of search and validation it was chosen what `noised_divergence` measures, and what
`gp-whole` multiplies.
"""

import json
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.zoo import BENCHES, kind_of
from gp_emq.command import run_command
from gp_emq.correlation import KendallRanker
from gp_emq.errors import BenchError
from gp_emq.files import atomic_write_text, read_document
from gp_emq.mqbench import load_bench
from gp_emq.networks.zoo import part_of
from gp_emq.networks.zoo._split import SEARCH, VALIDATION
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.proxies import configuration_scores
from gp_emq.proxies.loading import load_proxy
from gp_emq.ranking import RankedBench
from gp_emq.statistics import Noise, default_cache

NOISES = {
    "none": None,
    "0.25, four times": Noise(0.25, 4),
    "0.5, once": Noise(0.5, 1),
    "0.5, four times": Noise(0.5, 4),
    "1, four times": Noise(1.0, 4),
}
"""Levels in standard deviations of the images, and how many times each image counts."""
BOTH = "none, and 0.5 four times"
"""The sum of both."""
ALONE = "alone"
FORMULAS = ("gp-views", "gp-gradient", "model_optimizer", "fit_trace")

Taus = dict[str, float]
"""Kendall tau at equal cost, by "noise: formula"."""


def measure(name: str) -> Taus:
    """Rank the configurations of a bench by each noise, alone and beside each formula."""
    target = RankedBench.load(name, weights=None, data=(), cache=default_cache())
    inputs, configurations = target.proxy_inputs(), target.bench.configurations
    choices = np.searchsorted(np.asarray(target.bench.bits), configurations)
    harms = {ALONE: np.ones(len(configurations))}
    for formula in FORMULAS:
        table = np.asarray(load_proxy(formula).table(inputs))
        harms[formula] = -configuration_scores(table, choices)
    pairs = target.pairs_at_equal_size(target.indices("all"))
    ranker = KendallRanker(target.bench.oriented, pairs)
    found: Taus = {}
    measured = {
        noise: inputs.origin.divergences(configurations, settings)
        for noise, settings in NOISES.items()
    }
    measured[BOTH] = measured["none"] + measured["0.5, four times"]
    for noise, lost in measured.items():
        taus = ranker.taus(-np.stack([harm * lost for harm in harms.values()]))
        found |= {
            f"{noise}: {formula}": float(tau) for formula, tau in zip(harms, taus, strict=True)
        }
    return found


def table_of(rows: Mapping[str, Taus]) -> list[str]:
    """Lay out noise against formulas, as lines of Markdown.

    Args:
        rows: By name of the bench.

    Returns:
        In each cell means over kinds of networks, of the search and of validation.
    """
    networks = {name: load_bench(name).network for name in rows}
    parts = [part for part in (SEARCH, VALIDATION) if part in map(part_of, networks.values())]
    beside = (ALONE, *FORMULAS)
    lines = ["| noise | " + " | ".join(_title(formula) for formula in beside) + " |"]
    lines.append("|---|" + "---:|" * len(beside))
    for noise in (*NOISES, BOTH):
        cells = []
        for formula in beside:
            means = []
            for part in parts:
                by_kind: dict[str, list[float]] = {}
                for name, network in networks.items():
                    if part_of(network) == part:
                        tau = rows[name][f"{noise}: {formula}"]
                        by_kind.setdefault(kind_of(network), []).append(tau)
                means.append(float(np.mean([np.mean(own) for own in by_kind.values()])))
            cells.append(", ".join(f"{mean:.3f}" for mean in means))
        lines.append(f"| {noise} | " + " | ".join(cells) + " |")
    return lines


def _title(formula: str) -> str:
    return formula if formula == ALONE else f"× `{formula}`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.wholes", description=__doc__)
    parser.add_argument(
        "bench", nargs="*",
        help="names (default: those of digits of search and validation, rounded to nearest)",
    )  # fmt: skip
    parser.add_argument("--rows", type=OutputFile(), required=True, metavar="FILE.json")
    options = parser.parse_args(arguments)
    names = options.bench or [
        name
        for name in BENCHES
        if "digits-rtn" in name and part_of(load_bench(name).network) in (SEARCH, VALIDATION)
    ]
    rows: dict[str, Taus] = {}
    if options.rows.exists():
        rows = read_document(options.rows, dict[str, Taus], BenchError, "the rows")
    for name in names:
        if name not in rows:
            rows[name] = measure(name)
            atomic_write_text(options.rows, json.dumps(rows, indent=1))
            sys.stderr.write(f"{name}\n")
    sys.stdout.writelines(f"{line}\n" for line in table_of({name: rows[name] for name in names}))
    return 0


if __name__ == "__main__":
    run_command(main)
