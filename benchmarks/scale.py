"""A search on a cluster, on paper: ``python -m benchmarks.scale``.

A million formulas over fifty networks and 10,000 configurations each, on simulated workers with
messages, stragglers and losses; the farm that hands the work out is the real one. ``--real`` has
the same farm hand small work out on a dask cluster of this machine, beside its simulation.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.simulated import Cluster
from benchmarks.simulated_search import FORMULAS, NETWORKS, Course, Plan, simulate
from gp_emq.command import run_command
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile

PAPER = Cluster(workers=128, latency=0.001, message=0.002, per_item=0.00002, set_up=20.0)
RANKING, RANKING_SAMPLED = 0.5, 0.05
"""Seconds to rank 50 networks' configurations for a formula: half of 10,000, and 500 of them."""
HERE = 0.005
"""Seconds that the one process takes for a formula: to propose, remember and store it."""
DETAILS, COMPARING, DETAILED_ITEM = 0.018, 0.0095, 0.000035
"""Of 500 configurations of each network: seconds for what the default selection asks of a formula,
and to compare formulas by it, in populations of 1,000 that have converged; and what the one process
takes for each item where that travels with it."""
WORKERS = (1, 4, 16, 64, 256, 1024)
POPULATIONS = (60, 250, 1000, 4000)
NOW = Plan(ranking=RANKING, ranking_here=False, here=HERE, networks_apart=True)
WHOLE = replace(NOW, networks_apart=False)
SLOW, LOSSES = replace(PAPER, slow=8, slowness=4.0), replace(PAPER, losses=1.0)
SCENARIOS = {
    "nothing goes wrong": (PAPER, NOW),
    "8 of 128 four times slower": (SLOW, NOW),
    "… in shares, as it was": (SLOW, WHOLE),
    "each lost every hour": (LOSSES, replace(NOW, generations=20)),
    "a generation of 60": (PAPER, replace(NOW, population=60, generations=20)),
}
LAYOUTS = {
    "one formula, one network": replace(NOW, per_task=1, population=250, generations=1),
    "1 formula": replace(WHOLE, per_task=1),
    "4 formulas": replace(WHOLE, per_task=4),
    "a share for each worker": WHOLE,
    "one network, ever smaller": NOW,
}
RANKED = {
    "ranked in the one process": (PAPER, replace(WHOLE, ranking_here=True)),
    "ranked by workers, default selection, 500 of each": (
        replace(PAPER, per_item=DETAILED_ITEM),
        replace(NOW, ranking=RANKING_SAMPLED + DETAILS, here=HERE + COMPARING),
    ),
    "… its details found in the one process": (
        PAPER,
        replace(NOW, ranking=RANKING_SAMPLED, here=HERE + DETAILS + COMPARING),
    ),
    "ranked by workers, lexicase, all": (PAPER, NOW),
}


def by_workers() -> dict[str, dict[int, float]]:
    """Hours of the search for each number of workers, by where configurations are ranked."""
    return {
        name: {
            workers: simulate(replace(like, workers=workers), replace(plan, generations=2)).hours
            for workers in WORKERS
        }
        for name, (like, plan) in RANKED.items()
    }


def lines(courses: dict[str, Course]) -> Iterator[str]:
    """Write courses as lines of a Markdown table."""
    columns = "hours | tasks of a generation | evaluating | waiting | set-up, lost | messages"
    yield f"| {PAPER.workers} workers | {columns} |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, course in courses.items():
        shares = course.shares
        lost = shares["set-up"] + shares["lost work"]
        yield (
            f"| {name} | {course.hours:.1f} | {course.tasks:,} | {percent(shares['evaluating'])} "
            f"| {percent(shares['waiting'])} | {percent(lost)} | {percent(course.messages)} |"
        )


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.0f} %"


def report(plot: Path) -> Iterator[str]:
    """Simulate everything, draw it, and give lines of what it comes to."""
    from benchmarks.scale_figure import draw  # noqa: PLC0415 - matplotlib is slow to import

    ranked = by_workers()
    layouts = {name: simulate(PAPER, plan) for name, plan in LAYOUTS.items()}
    scenarios = {name: simulate(like, plan) for name, (like, plan) in SCENARIOS.items()}
    populations = {
        population: simulate(
            PAPER, replace(NOW, population=population, generations=max(2, 2000 // population))
        )
        for population in POPULATIONS
    }
    yield (
        f"{FORMULAS:,} formulas on {NETWORKS} networks, {NOW.hours_of_work:.0f} hours of work; "
        f"{PAPER.workers} workers would need {NOW.hours_of_work / PAPER.workers:.2f}"
    )
    yield ""
    yield f"| hours, by workers | {' | '.join(map(str, WORKERS))} |"
    yield "|---|" + "---:|" * len(WORKERS)
    for name, hours in ranked.items():
        yield f"| {name} | {' | '.join(f'{hour:.1f}' for hour in hours.values())} |"
    yield ""
    yield from lines(layouts)
    yield ""
    yield from lines(scenarios)
    draw(
        plot,
        ranked,
        layouts,
        scenarios=scenarios,
        populations=populations,
        hours_of_work=NOW.hours_of_work,
    )
    yield ""
    yield f"plot: {plot}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = OptionParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--plot", type=OutputFile((".png", ".svg")), default=Path("docs/images/cluster.png"),
        help="where the plot goes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--real", action="store_true",
        help="have small work done on a dask cluster of this machine instead (a few minutes)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.real:
        from benchmarks.scale_real import beside_reality  # noqa: PLC0415 - needs dask

        said = beside_reality()
    else:
        said = report(options.plot)
    for line in said:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    run_command(main)
