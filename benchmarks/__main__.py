"""Measure everything and print one table: ``python -m benchmarks``."""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks import evaluation, jobs, planning, procedure, ranking, scaling, search
from benchmarks.timing import Row
from gp_emq.command import run_command
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "evaluation": evaluation.benchmark,
    "search": search.benchmark,
    "procedure": procedure.benchmark,
    "planning": planning.benchmark,
    "ranking": ranking.benchmark,
    "jobs": jobs.benchmark,
}
QUICK: dict[str, Callable[[], list[Row]]] = {
    "evaluation": partial(evaluation.benchmark, network="digits", count=10),
    "search": partial(search.benchmark, {"digits": 2}, population=8, generations=1),
    "procedure": partial(procedure.benchmark, repeats=1),
    "planning": partial(planning.benchmark, ["resnet20"], images=2, side=32),
    "ranking": partial(ranking.benchmark, candidates=10),
    "jobs": partial(jobs.benchmark, network="digits", count=10, repeats=1),
}
"""The same on little: what it says of speed means nothing."""


SCALING = "scaling"
NAMES = (*BENCHMARKS, SCALING)


def _benchmark(name: str) -> str:
    """Read the name of a benchmark; argparse's own choices would have to list none of them, too."""
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(NAMES)}, not {name!r}")
    return name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="*", type=_benchmark, metavar="BENCHMARK",
        help=f"of {', '.join(NAMES)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--plot",
        type=OutputFile(),
        default=Path("docs/images/scaling.png"),
        help="where the plot of the scaling benchmark goes (default: %(default)s)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds of each, to see whether they run"
    )
    options = parser.parse_args(arguments)
    chosen = options.only or NAMES
    sys.stdout.write(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; "
        "processor seconds, medians of pairs measured in turn\n\n"
    )
    if set(chosen) & set(BENCHMARKS):
        sys.stdout.write("| what | ours | against | theirs | ratio |\n|---|---:|---|---:|---:|\n")
    for name, benchmark in (QUICK if options.quick else BENCHMARKS).items():
        if name in chosen:
            for row in benchmark():
                sys.stdout.write(row.line() + "\n")
                sys.stdout.flush()
    if SCALING in chosen:
        by_network, by_population = (
            scaling.benchmark(["digits"], [10, 20]) if options.quick else scaling.benchmark()
        )
        sys.stdout.write("\n" + "\n".join(scaling.lines([*by_network, *by_population])) + "\n")
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        scaling.plot(by_network, by_population, options.plot)
        sys.stdout.write(f"\nplot: {options.plot}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
