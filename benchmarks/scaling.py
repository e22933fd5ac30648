"""Peak memory by network, and time per generation as population and network grow."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FixedLocator, FormatStrFormatter

from benchmarks.evaluation import typed_trees
from benchmarks.shapes import BITS, NETWORKS, random_statistics
from gp_emq.correlation import KendallRanker
from gp_emq.determinism import one_thread
from gp_emq.evolution._screening import TableScreen
from gp_emq.proxies import configuration_scores
from primitives import load_primitive_set

POPULATIONS = (50, 100, 200, 400, 800)
CONFIGURATIONS = 212


@dataclass(frozen=True)
class Generation:
    """What one generation took in a process of its own.

    Args:
        network: Whose shapes.
        elements: Weights of the network.
        population: Trees evaluated.
        statistics_mib: What the statistics themselves take.
        peak_mib: Peak resident memory of the process.
        seconds: Processor seconds of screening, evaluating and ranking.
    """

    network: str
    elements: int
    population: int
    statistics_mib: float
    peak_mib: float
    seconds: float


def measure(network: str, population: int) -> Generation:
    """Evaluate one generation of the default set in this process."""
    primitive_set = load_primitive_set("bit_aware")
    statistics = random_statistics(network)
    held = sum(
        statistics.tensor(name).nbytes for name in primitive_set.needs if name != "perturbation"
    )
    trees = typed_trees(primitive_set, population)
    layout = statistics.layout("Weights")
    choices = np.random.default_rng(0).integers(
        len(BITS), size=(CONFIGURATIONS, layout.entry_count)
    )
    ranker = KendallRanker(np.random.default_rng(1).random(CONFIGURATIONS))
    screen = TableScreen(primitive_set, statistics)
    with one_thread():
        start = time.process_time()
        tables = [table for table in screen.tables(trees) if not isinstance(table, str)]
        ranker.taus(configuration_scores(np.stack(tables), choices))
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Generation(network, layout.size, population, held / 2**20, peak, seconds)


def measure_apart(network: str, population: int) -> Generation:
    """Measure in a fresh process, so that its peak memory is its own."""
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "benchmarks.scaling", network, str(population)],
        capture_output=True,
        text=True,
        check=True,
    )
    return Generation(**json.loads(done.stdout))


def lines(generations: Iterable[Generation]) -> list[str]:
    """Write the measurements as lines of a Markdown table."""
    return [
        "| shapes | weights | population | statistics | peak memory | a generation |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {g.network} | {g.elements / 1e6:.2f} M | {g.population} "
            f"| {g.statistics_mib:.0f} MiB | {g.peak_mib:.0f} MiB | {g.seconds:.2f} s |"
            for g in generations
        ),
    ]


def benchmark(
    networks: Iterable[str] = NETWORKS, populations: Sequence[int] = POPULATIONS
) -> tuple[list[Generation], list[Generation]]:
    """Grow the network at a population of 200, and the population on ResNet-20's shapes."""
    return (
        [measure_apart(network, 200) for network in networks],
        [measure_apart("resnet20", population) for population in populations],
    )


def plot(by_network: Sequence[Generation], by_population: Sequence[Generation], path: Path) -> None:
    """Draw time per generation against elements and against population."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the back end is chosen

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    for axis, places, measured, colour in (
        (axes[0], [g.elements for g in by_network], by_network, "#0072B2"),
        (axes[1], [g.population for g in by_population], by_population, "#D55E00"),
    ):
        points = sorted(zip(places, (g.seconds for g in measured), strict=True))
        axis.loglog(*zip(*points, strict=True), "o-", color=colour)
        axis.minorticks_off()
        axis.yaxis.set_major_locator(FixedLocator([0.1, 0.3, 1, 3, 10, 30]))
        axis.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.grid(visible=True, which="major", alpha=0.3)
    for g in by_network:
        axes[0].annotate(
            g.network, (g.elements, g.seconds), (-6, 6), textcoords="offset points", ha="right"
        )
    axes[0].margins(0.2, 0.12)
    axes[0].set(xlabel="weights of the network", title="population 200")
    axes[1].set(xlabel="population", title="ResNet-20's shapes")
    axes[1].xaxis.set_major_locator(FixedLocator(sorted(g.population for g in by_population)))
    axes[1].xaxis.set_major_formatter(FormatStrFormatter("%d"))
    axes[0].set_ylabel("processor seconds per generation")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(sys.argv[1], int(sys.argv[2])))))
