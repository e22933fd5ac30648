"""Everything a search needs, loaded once: benches, statistics, primitive set, objective."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from gp_emq.correlation import why_unrankable
from gp_emq.errors import ExpressionError, GpEmqError
from gp_emq.evolution import Objective
from gp_emq.experiment._collecting import Given, StatisticsJob, bench_statistics, shared_out
from gp_emq.experiment._configuration import (
    MEASURED_PLANS,
    OWN_OBJECTIVE,
    RunConfiguration,
)
from gp_emq.experiment._plans import objective_for
from gp_emq.farm import Farm, FarmSettings
from gp_emq.mqbench import Bench, list_benches, load_bench
from gp_emq.networks.zoo import refuse_held_out
from gp_emq.objectives import (
    BenchObjective,
    BenchSource,
    MeanObjective,
    bench_sha256,
)
from gp_emq.proxies import parse_expression
from gp_emq.proxies.handcrafted import seed_expressions
from gp_emq.proxies.loading import is_named, load_proxy
from gp_emq.statistics import Statistics, default_cache, is_own
from primitives import PrimitiveSet, load_primitive_set


@dataclass(frozen=True)
class Setting:
    """What a run is about.

    Args:
        configuration: What was asked for.
        benches: The benches; none where the objective is the caller's own.
        primitive_set: The operators and terminals.
        parts: What measures formulas on each bench.
        objective: What the search maximises: on several benches the mean of the parts.
        seeds: Expressions that enter the first generation.
        given: Statistics of the networks of an objective of the caller's own.
    """

    configuration: RunConfiguration
    benches: tuple[Bench, ...]
    primitive_set: PrimitiveSet
    parts: tuple[BenchObjective, ...]
    objective: Objective
    seeds: tuple[str, ...] = ()
    given: tuple[Statistics, ...] = ()

    def measured_on(
        self, networks: Sequence[Statistics], progress: Callable[[], object] = lambda: None
    ) -> "Setting":
        """Give the setting with what its objective has to know of the networks.

        Args:
            networks: The statistics of each bench's network.
            progress: Called whenever the plan of a formula was measured.

        Raises:
            GpEmqError: A bench has no pair of training configurations that can be compared, or
                its network cannot be measured as it was.
        """
        if self.configuration.fitness == "tau" or not self.benches:
            return self
        parts = tuple(
            objective_for(bench, statistics, self.configuration, self._where, progress)
            for bench, statistics in zip(self.benches, networks, strict=True)
        )
        return replace(self, parts=parts, objective=_mean_of(parts))

    @property
    def _where(self) -> Given:
        asked = self.configuration
        return Given(asked.weights, asked.data, asked.network, asked.workload)

    def collect(self, farm: FarmSettings, *, quiet: bool = True) -> tuple[Statistics, ...]:
        """Collect what the primitive set and the size baselines name, or read it from the cache.

        Args:
            farm: Who collects. Workers of other machines do not: their cache may be another.
            quiet: Whether to show no progress.

        Returns:
            The statistics of each bench's network.

        Raises:
            GpEmqError: Weights or data are missing, or a statistic is not finite.
        """
        configuration, cache, where = self.configuration, default_cache(), self._where
        for given in self.given:
            given.prepare(self.statistic_names)
        if self.given:
            return self.given
        found = []
        for name, bench in zip(configuration.benches, self.benches, strict=True):
            statistics = bench_statistics(bench, cache, where)
            missing = [
                name
                for name in self.statistic_names
                # Workers know the built-in ones alone.
                if not (statistics.is_stored(name) or is_own(name))
            ]
            with tqdm(
                total=len(missing), desc="statistics", unit="statistic", disable=quiet, leave=False
            ) as bar:
                job = StatisticsJob(name, cache, where)
                for statistic in self._collected(job, statistics, missing, farm):
                    bar.set_postfix_str(statistic)
                    bar.update()
            statistics.prepare(self.statistic_names)
            found.append(statistics)
        return tuple(found)

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
    def sources(self) -> tuple[BenchSource, ...]:
        """How workers come by what ranks on each bench; none where the search does.

        So it is for an objective of one's own, and for plans, of which none is measured twice.
        """
        configuration = self.configuration
        if configuration.fitness == MEASURED_PLANS:
            return ()
        return tuple(
            BenchSource(
                # A file of a relative path is where this process is, and workers may be elsewhere.
                name if name in list_benches() else str(Path(name).resolve()),
                bench_sha256(bench),
                configuration.fitness,
                configuration.bench_samples,
                configuration.seed,
            )
            for name, bench in zip(configuration.benches, self.benches, strict=False)
        )

    @property
    def is_validated(self) -> bool:
        """Whether the validation configurations of every bench can be ranked."""
        return not any(why_unrankable(one.oriented[one.validation], "") for one in self.benches)

    @property
    def statistic_names(self) -> tuple[str, ...]:
        """Names of the statistics that the run uses."""
        return tuple(sorted({*self.primitive_set.needs, "bits", "parameter_count"}))

    def statistics_sha256(self, networks: Sequence[Statistics]) -> str:
        """Sha256 of the statistics that the run uses."""
        return joint_sha256([one.content_sha256(self.statistic_names) for one in networks])


def joint_sha256(digests: Sequence[str]) -> str:
    """The sha256 of several things by theirs; of one its own."""
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def load_setting(configuration: RunConfiguration) -> Setting:
    """Load benches and a primitive set; nothing is computed yet.

    Raises:
        GpEmqError: A bench or the set is unknown or damaged, a bench is of a test network, or more
            training configurations are asked for than there are, or none of them is better
            than another.
    """
    if configuration.bench.startswith(OWN_OBJECTIVE):
        raise GpEmqError(
            f"the run was searched for {configuration.bench}: go on from Python, with "
            "gp_emq.search(objective, statistics=..., out=FOLDER)"
        )
    primitive_set = load_primitive_set(configuration.primitives)
    benches = tuple(load_bench(name) for name in configuration.benches)
    samples = configuration.bench_samples
    for bench in benches:
        refuse_held_out(bench.network, bench.name)
        if samples is not None and samples > len(bench.training):
            raise GpEmqError(
                f"bench {bench.name!r} has {len(bench.training)} training configurations, "
                f"so --bench-samples must be at most that, got {samples}"
            )
        reason = why_unrankable(bench.oriented[bench.training], "training configurations")
        if reason:
            raise GpEmqError(f"bench {bench.name!r} gives no fitness: {reason}")
    parts = tuple(BenchObjective(one, samples=samples, seed=configuration.seed) for one in benches)
    seeds = _seed_expressions(configuration, primitive_set)
    return Setting(configuration, benches, primitive_set, parts, _mean_of(parts), seeds)


def _mean_of(parts: Sequence[BenchObjective]) -> Objective:
    return parts[0] if len(parts) == 1 else MeanObjective(parts)


def own_setting(
    configuration: RunConfiguration, objective: Objective, networks: Sequence[Statistics]
) -> Setting:
    """Give the setting of a search for an objective of the caller's own.

    Args:
        configuration: What was asked for; its benches are not looked at.
        objective: What to maximise.
        networks: Statistics of each of its networks.

    Raises:
        GpEmqError: The set is unknown, or the statistics are not one for each network, or are
            kept in memory alone.
    """
    if len(networks) != len(objective.networks):
        raise GpEmqError(
            f"the objective has {len(objective.networks)} networks "
            f"({', '.join(objective.networks)}), and {len(networks)} statistics were given"
        )
    for name, statistics in zip(objective.networks, networks, strict=True):
        if statistics.folder is None:
            raise GpEmqError(
                f"the statistics of {name} are in memory alone, where no worker can read them: "
                "collect them with cache=FOLDER"
            )
    primitive_set = load_primitive_set(configuration.primitives)
    seeds = _seed_expressions(configuration, primitive_set)
    return Setting(configuration, (), primitive_set, (), objective, seeds, tuple(networks))


def _seed_expressions(
    configuration: RunConfiguration, primitive_set: PrimitiveSet
) -> tuple[str, ...]:
    """Turn names of proxies into expressions, and check that the set has them all.

    ``all`` stands for every hand-crafted formula that the set can express.
    """
    known = seed_expressions()
    seeds: list[str] = []
    for item in configuration.seed_proxies:
        if item == "all":
            seeds += [text for text in known.values() if _parses(text, primitive_set)]
        else:
            seeds.append(known.get(item) or _expression_of(item))
            _check_seed(item, seeds[-1], primitive_set)
    if len(seeds) > configuration.population:
        raise GpEmqError(
            f"{len(seeds)} seed proxies do not fit a population of {configuration.population}; "
            "give fewer of them or a larger --pop"
        )
    return tuple(seeds)


def _expression_of(item: str) -> str:
    """Give the expression of a proxy that is named, and what is no name as it is."""
    if not is_named(item):
        return item
    proxy = load_proxy(item)
    if not proxy.expression:
        raise GpEmqError(
            f"no search can start from {item}, which is no formula of a primitive set: give "
            "expressions, or names of proxies that are formulas"
        )
    return proxy.expression


def _check_seed(item: str, expression: str, primitive_set: PrimitiveSet) -> None:
    try:
        parse_expression(expression, primitive_set)
    except ExpressionError as error:
        if item == expression:
            raise
        raise ExpressionError(f"seed proxy {item}: {error}") from error


def _parses(text: str, primitive_set: PrimitiveSet) -> bool:
    try:
        parse_expression(text, primitive_set)
    except ExpressionError:
        return False
    return True
