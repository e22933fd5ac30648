"""Which of the formulas found is recommended, by networks that the search has not seen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import KendallRanker, Ranker, at_equal_cost, rounded
from gp_emq.errors import GpEmqError, RunError
from gp_emq.evolution import FloatArray, Individual, centred
from gp_emq.experiment._collecting import bench_statistics
from gp_emq.experiment._configuration import MEASURED_PLANS, RunConfiguration
from gp_emq.experiment._plans import bench_plans
from gp_emq.measured import SHARE, BenchPlans, with_plans
from gp_emq.mqbench import Bench, configuration_sizes, load_bench
from gp_emq.networks.zoo import refuse_held_out
from gp_emq.objectives import PlanRanker
from gp_emq.proxies import Evaluator, configuration_scores
from gp_emq.proxies.loading import load_proxy
from gp_emq.statistics import Statistics, default_cache
from primitives import PrimitiveSet

RIVALS = ("fit_trace", "hawq_v2", "model_optimizer")
"""Hand-made proxies that a recommended formula is compared with on validation networks."""


@dataclass(frozen=True)
class Judged:
    """How a formula ranks the configurations of the validation networks.

    Args:
        individual: The formula.
        taus: What the search maximises, on each bench, in the orientation that it found: Kendall
            tau, or what stands for it; None where the formula has no table on one of them.
        standard_error: Of their mean, by the jackknife over configurations.
    """

    individual: Individual
    taus: tuple[float, ...] | None
    standard_error: float

    @property
    def mean(self) -> float:
        """Mean tau over the benches; -inf where there is none."""
        return -np.inf if self.taus is None else float(np.mean(self.taus))


class ValidationNetworks:
    """Benches of networks that no formula was fitted to, all of whose configurations count.

    Args:
        benches: The benches.
        networks: Statistics of each one's network.
        fitness: What the search maximises, and what formulas are chosen by here.
        progress: Called whenever the plan of a formula was measured.

    Attributes:
        network_names: The network of each bench.
    """

    def __init__(
        self,
        benches: Sequence[Bench],
        networks: Sequence[Statistics],
        *,
        fitness: str,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        self.network_names = tuple(bench.network for bench in benches)
        self._networks = tuple(networks)
        self._choices = [
            np.searchsorted(np.asarray(bench.bits), bench.configurations) for bench in benches
        ]
        self._rankers = [
            _ranker(bench, statistics, fitness)
            for bench, statistics in zip(benches, networks, strict=True)
        ]
        self._plans = [
            bench_plans(bench, progress) if fitness == MEASURED_PLANS else None for bench in benches
        ]

    @classmethod
    def load(
        cls,
        configuration: RunConfiguration,
        searched: Sequence[Bench],
        progress: Callable[[], object],
    ) -> "ValidationNetworks":
        """Load the benches and the inputs of their networks; no statistic is collected yet.

        Args:
            configuration: Of the run, which names them.
            searched: The benches that the run searches on.
            progress: Called whenever the plan of a formula was measured.

        Raises:
            GpEmqError: One of them is unknown or damaged, named twice, of a test network, or of a
                network that is searched on, or its weights or images are missing; or constants are
                to be fitted, and they are all of one network.
        """
        if len(set(configuration.validate_on)) < len(configuration.validate_on):
            raise RunError(
                f"--validate-on names a bench twice: {' '.join(configuration.validate_on)}"
            )
        benches = [load_bench(name) for name in configuration.validate_on]
        known = {bench.network: bench.name for bench in searched}
        for bench in benches:
            refuse_held_out(bench.network, bench.name)
            if bench.network in known:
                raise RunError(
                    f"bench {bench.name!r} is of {bench.network}, which the search sees on bench "
                    f"{known[bench.network]!r}: --validate-on takes benches of other networks"
                )
        if configuration.fit_constants and len({bench.network for bench in benches}) < 2:
            raise RunError(
                f"--fit-constants needs --validate-on with benches of two networks at least, to "
                f"tell what pays from chance; {' '.join(configuration.validate_on)} are of "
                f"{benches[0].network} alone"
            )
        networks = [bench_statistics(bench, default_cache()) for bench in benches]
        return cls(benches, networks, fitness=configuration.fitness, progress=progress)

    def judge(self, individuals: Sequence[Individual], primitive_set: PrimitiveSet) -> list[Judged]:
        """Rank the configurations by each formula; statistics that one names are collected."""
        found: list[list[tuple[float, float]] | None] = [[] for _ in individuals]
        for statistics, choices, ranker, plans in zip(
            self._networks, self._choices, self._rankers, self._plans, strict=True
        ):
            evaluator = Evaluator(primitive_set, statistics)
            for place, individual in enumerate(individuals):
                table = _table(evaluator, individual)
                taus = found[place]
                if table is None or taus is None:
                    found[place] = None
                else:
                    taus.append(_worth(table, choices, ranker, plans))
        return [_judged(*one) for one in zip(individuals, found, strict=True)]

    def rivals(self) -> dict[str, float]:
        """Rank the same by hand-made proxies; one without a table on a network is left out.

        Returns:
            By name of the proxy, the mean over the benches of what the search maximises.
        """
        found = {}
        for name in RIVALS:
            tables = [_rival_table(name, statistics) for statistics in self._networks]
            known = [table for table in tables if table is not None]
            if len(known) == len(tables):
                parts = zip(known, self._choices, self._rankers, self._plans, strict=True)
                found[name] = float(np.mean([_worth(*part)[0] for part in parts]))
        return found


def shortest_of_the_best(judged: Sequence[Judged]) -> Judged:
    """Give the shortest formula within one standard error of the best; of equals the better.

    Raises:
        RunError: None of the formulas has a table on all of the benches.
    """
    best = max(judged, key=lambda one: one.mean)
    if best.taus is None:
        raise RunError("none of the formulas found has a table on every network of --validate-on")
    close = [one for one in judged if one.mean >= best.mean - best.standard_error]
    return min(close, key=lambda one: (len(one.individual), -one.mean))


def _table(evaluator: Evaluator, individual: Individual) -> FloatArray | None:
    """Compute a formula's oriented table; None where it is not finite."""
    try:
        table: FloatArray = evaluator.table(individual).numpy().astype(np.float64)
    except GpEmqError:
        return None
    return individual.measurement.sign * table if np.isfinite(table).all() else None


def _rival_table(name: str, statistics: Statistics) -> FloatArray | None:
    """Compute a hand-made proxy's table; None where it has none, or it is not finite."""
    try:
        table = np.asarray(load_proxy(name).table(statistics))
    except GpEmqError:
        return None
    return table if np.isfinite(table).all() else None


def _worth(
    table: FloatArray, choices: NDArray[np.int64], ranker: Ranker, plans: BenchPlans | None
) -> tuple[float, float]:
    """Give what the search maximises on a bench, and its jackknife variance."""
    tau, variance = _tau(ranker, rounded(configuration_scores(centred(table), choices)))
    if plans is None:
        return tau, variance
    return with_plans(tau, float(plans.worth(table).mean())), variance * (1 - SHARE) ** 2


def _ranker(bench: Bench, statistics: Statistics, fitness: str) -> Ranker:
    """Rank a bench's configurations as the search's objective does."""
    accuracies: FloatArray = np.asarray(bench.oriented, dtype=np.float64)
    if fitness == "tau":
        return KendallRanker(accuracies)
    pairs = at_equal_cost(configuration_sizes(bench, statistics.layers))
    return (PlanRanker if fitness == "plans" else KendallRanker)(accuracies, pairs)


def _tau(ranker: Ranker, scores: FloatArray) -> tuple[float, float]:
    """Give tau and its jackknife variance."""
    left_out = ranker.left_out(scores)
    spread = float(((left_out - left_out.mean()) ** 2).sum())
    return float(ranker.taus(scores[None])[0]), spread * (len(left_out) - 1) / len(left_out)


def _judged(individual: Individual, found: list[tuple[float, float]] | None) -> Judged:
    if found is None:
        return Judged(individual, None, np.inf)
    taus, variances = zip(*found, strict=True)
    return Judged(individual, taus, float(np.sqrt(sum(variances))) / len(taus))
