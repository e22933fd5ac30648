"""Everything a search needs, loaded once: bench, statistics, primitive set, fitness."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gp_emq.errors import ExpressionError, GpEmqError
from gp_emq.evolution import KendallFitness
from gp_emq.experiment._configuration import RunConfiguration
from gp_emq.mqbench import Bench, bench_inputs, load_bench
from gp_emq.proxies import parse_expression
from gp_emq.proxies.handcrafted import seed_expressions
from gp_emq.statistics import Statistics, collect_statistics, default_cache
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

    def collect(self, *, quiet: bool = True) -> Statistics:
        """Collect what the primitive set and the size baselines name, or read it from the cache.

        Args:
            quiet: Whether to show no progress.

        Raises:
            GpEmqError: Weights or data are missing, or a statistic is not finite.
        """
        configuration = self.configuration
        inputs = bench_inputs(
            self.bench,
            weights=Path(configuration.weights) if configuration.weights else None,
            data=[Path(item) for item in configuration.data] or None,
        )
        statistics = collect_statistics(
            inputs.network.model,
            inputs.images,
            inputs.labels,
            bits=self.bench.bits,
            quantizer=inputs.quantizer,
            layers=inputs.network.layers,
            cache=default_cache(),
        )
        with tqdm(
            self.statistic_names, "statistics", unit="statistic", disable=quiet, leave=False
        ) as names:
            for name in names:
                names.set_postfix_str(name)
                statistics.prepare([name])
        return statistics

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
