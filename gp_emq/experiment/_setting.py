"""Everything a search needs, loaded once: bench, statistics, primitive set, fitness."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from gp_emq.errors import ExpressionError, GpEmqError
from gp_emq.evolution import KendallFitness
from gp_emq.experiment._collecting import StatisticsJob, bench_statistics, shared_out
from gp_emq.experiment._configuration import RunConfiguration
from gp_emq.farm import Farm, FarmSettings
from gp_emq.mqbench import Bench, load_bench
from gp_emq.proxies import parse_expression
from gp_emq.proxies.handcrafted import seed_expressions
from gp_emq.statistics import Statistics, default_cache, is_own
from primitives import PrimitiveSet, load_primitive_set


@dataclass(frozen=True)
class Setting:
    """What a run is about.

    Args:
        configuration: What was asked for.
        bench: The bench.
        primitive_set: The operators and terminals.
        fitness: Measures tables on the bench.
        seeds: Expressions that enter the first generation.
    """

    configuration: RunConfiguration
    bench: Bench
    primitive_set: PrimitiveSet
    fitness: KendallFitness
    seeds: tuple[str, ...] = ()

    def collect(self, farm: FarmSettings, *, quiet: bool = True) -> Statistics:
        """Collect what the primitive set and the size baselines name, or read it from the cache.

        Args:
            farm: Who collects. Workers of other machines do not: their cache may be another.
            quiet: Whether to show no progress.

        Raises:
            GpEmqError: Weights or data are missing, or a statistic is not finite.
        """
        configuration, cache = self.configuration, default_cache()
        job = StatisticsJob(
            configuration.bench,
            configuration.weights,
            configuration.data,
            cache,
            configuration.network,
        )
        statistics = bench_statistics(self.bench, job.weights, job.data, cache, job.network)
        missing = [
            name
            for name in self.statistic_names
            # Workers know the built-in ones alone.
            if not (statistics.is_stored(name) or is_own(name))
        ]
        with tqdm(
            total=len(missing), desc="statistics", unit="statistic", disable=quiet, leave=False
        ) as bar:
            for name in self._collected(job, statistics, missing, farm):
                bar.set_postfix_str(name)
                bar.update()
        statistics.prepare(self.statistic_names)
        return statistics

    @staticmethod
    def _collected(
        job: StatisticsJob, statistics: Statistics, names: Sequence[str], settings: FarmSettings
    ) -> Iterator[str]:
        """Collect statistics one after the other, or several at a time."""
        local = replace(settings, scheduler=None, devices=("cpu",))
        backend, jobs = local.chosen(statistics.layout("Weights").size)
        if backend is None or len(names) < 2:
            for name in names:
                statistics.prepare([name])
                yield name
            return
        items = shared_out(names)
        # Curvature takes as long as it takes; what hangs is for the user to see.
        with Farm([job], jobs=jobs, backend=backend, task_timeout=None) as farm:
            for place, _ in farm.stream(items, items_per_task=1):
                yield items[place]

    @property
    def statistic_names(self) -> tuple[str, ...]:
        """Names of the statistics that the run uses."""
        return tuple(sorted({*self.primitive_set.needs, "bits", "parameter_count"}))

    @property
    def bench_sha256(self) -> str:
        """Sha256 of the bench's configurations, accuracies and split."""
        digest = hashlib.sha256()
        for array in (self.bench.configurations, self.bench.accuracies, self.bench.split):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def load_setting(configuration: RunConfiguration) -> Setting:
    """Load a bench and a primitive set; nothing is computed yet.

    Raises:
        GpEmqError: The bench or the set is unknown or damaged, or more training configurations
            are asked for than there are.
    """
    primitive_set = load_primitive_set(configuration.primitives)
    bench = load_bench(configuration.bench)
    available = len(bench.training)
    if configuration.bench_samples is not None and configuration.bench_samples > available:
        raise GpEmqError(
            f"bench {bench.name!r} has {available} training configurations, "
            f"so --bench-samples must be at most that, got {configuration.bench_samples}"
        )
    fitness = KendallFitness(bench, samples=configuration.bench_samples, seed=configuration.seed)
    seeds = _seed_expressions(configuration, primitive_set)
    return Setting(configuration, bench, primitive_set, fitness, seeds)


def _seed_expressions(
    configuration: RunConfiguration, primitive_set: PrimitiveSet
) -> tuple[str, ...]:
    """Turn names of hand-crafted proxies into expressions, and check that the set has them all.

    ``all`` stands for every hand-crafted formula that the set can express.
    """
    known = seed_expressions()
    seeds: list[str] = []
    for item in configuration.seed_proxies:
        if item == "all":
            seeds += [text for text in known.values() if _parses(text, primitive_set)]
        else:
            seeds.append(known.get(item, item))
            parse_expression(seeds[-1], primitive_set)
    if len(seeds) > configuration.population:
        raise GpEmqError(
            f"{len(seeds)} seed proxies do not fit a population of {configuration.population}; "
            "give fewer of them or a larger --pop"
        )
    return tuple(seeds)


def _parses(text: str, primitive_set: PrimitiveSet) -> bool:
    try:
        parse_expression(text, primitive_set)
    except ExpressionError:
        return False
    return True
