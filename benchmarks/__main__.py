"""Measure everything and print one table: ``python -m benchmarks``."""

import argparse
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import evaluation, jobs, procedure, ranking, scaling, search
from benchmarks.timing import Row

BENCHMARKS: dict[str, Callable[[], list[Row]]] = {
    "evaluation": evaluation.benchmark,
    "search": search.benchmark,
    "procedure": procedure.benchmark,
    "ranking": ranking.benchmark,
    "jobs": jobs.benchmark,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "only", nargs="*", choices=[*BENCHMARKS, "scaling", []], help="which (default: all)"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        default=Path("docs/images/scaling.png"),
        help="where the plot of the scaling benchmark goes (default: %(default)s)",
    )
    options = parser.parse_args()
    chosen = options.only or [*BENCHMARKS, "scaling"]
    sys.stdout.write(
        f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}; "
        "processor seconds, medians of pairs measured in turn\n\n"
    )
    if set(chosen) & set(BENCHMARKS):
        sys.stdout.write("| what | ours | against | theirs | ratio |\n|---|---:|---|---:|---:|\n")
    for name, benchmark in BENCHMARKS.items():
        if name in chosen:
            for row in benchmark():
                sys.stdout.write(row.line() + "\n")
                sys.stdout.flush()
    if "scaling" in chosen:
        generations = scaling.benchmark()
        sys.stdout.write("\n" + "\n".join(scaling.lines(generations)) + "\n")
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        scaling.plot(generations, options.plot)
        sys.stdout.write(f"\nplot: {options.plot}\n")


if __name__ == "__main__":
    main()
