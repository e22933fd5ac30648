"""A bench's network, got ready to measure the plans of a search's formulas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gp_emq.experiment._collecting import Given
from gp_emq.experiment._configuration import MEASURED_PLANS, RunConfiguration
from gp_emq.measured import BenchPlans, MeasuredPlanObjective
from gp_emq.mqbench import Bench, Measurer, configuration_sizes, settings_of
from gp_emq.objectives import BenchObjective, objective_of
from gp_emq.statistics import Statistics, default_cache

_NOTHING = Given()


def plan_bar(configuration: RunConfiguration, *, quiet: bool) -> "tqdm[Any]":
    """Give a bar that counts the plans a run measures, below that of its generations."""
    return tqdm(
        desc="measuring", unit="plan", position=1, leave=False, dynamic_ncols=True,
        disable=quiet or configuration.fitness != MEASURED_PLANS,
    )  # fmt: skip


def objective_for(
    bench: Bench,
    statistics: Statistics,
    configuration: RunConfiguration,
    given: Given,
    progress: Callable[[], object],
) -> BenchObjective:
    """Make what a run maximises on a bench.

    Args:
        bench: The bench.
        statistics: Of its network.
        configuration: Of the run.
        given: Where the network is from.
        progress: Called whenever a plan was measured.

    Raises:
        GpEmqError: The bench has no pair of training configurations that can be compared, or its
            network cannot be measured as it was.
    """
    samples, seed = configuration.bench_samples, configuration.seed
    if configuration.fitness == MEASURED_PLANS:
        costs = configuration_sizes(bench, statistics.layers)
        plans = bench_plans(bench, progress, given)
        # Of a plan every sample passes through all layers.
        cost = float(sum(layer.macs for layer in statistics.layers) * bench.images)
        return MeasuredPlanObjective(bench, costs, plans, cost=cost, samples=samples, seed=seed)
    return objective_of(
        bench, statistics.layers, fitness=configuration.fitness, samples=samples, seed=seed
    )


def bench_plans(
    bench: Bench, progress: Callable[[], object], given: Given = _NOTHING
) -> BenchPlans:
    """Load a bench's network, and get ready to measure plans of it.

    Args:
        bench: The bench.
        progress: Called whenever a plan was measured.
        given: Where the network is from.

    Raises:
        GpEmqError: It cannot be measured as it was.
    """
    settings = settings_of(
        bench,
        weights=Path(given.weights) if given.weights else None,
        data=tuple(Path(item) for item in given.data),
        network=given.network,
        workload=given.workload,
    )
    return BenchPlans(bench, Measurer(settings), cache=default_cache(), progress=progress)
