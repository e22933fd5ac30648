"""Objectives of benches by name, so that every worker can make them for itself."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Bench, configuration_sizes, load_bench
from gp_emq.networks import Layer
from gp_emq.objectives._bench import BenchObjective
from gp_emq.objectives._equal_cost import EqualCostObjective
from gp_emq.objectives._plans import PlanObjective
from gp_emq.statistics import Statistics


@dataclass(frozen=True)
class BenchSource:
    """How to make the objective of a bench: the names of what it is made of.

    Args:
        bench: Name of the bench, or its file.
        sha256: Of its contents, see `bench_sha256`.
        fitness: As for `objective_of`.
        samples: Likewise.
        seed: Likewise.
    """

    bench: str
    sha256: str
    fitness: str
    samples: int | None
    seed: int

    def open(self, statistics: Statistics) -> BenchObjective | None:
        """Make the objective; None where the bench is not at hand, or another."""
        try:
            bench = load_bench(self.bench)
        except GpEmqError:
            return None
        if bench_sha256(bench) != self.sha256:
            return None
        return objective_of(
            bench, statistics.layers, fitness=self.fitness, samples=self.samples, seed=self.seed
        )


def objective_of(
    bench: Bench, layers: Sequence[Layer], *, fitness: str, samples: int | None, seed: int
) -> BenchObjective:
    """Make the objective of a bench.

    Args:
        bench: The bench.
        layers: Of its network, which say what configurations cost.
        fitness: ``tau``, ``equal-cost`` or ``plans``.
        samples: How many training configurations to use; all of them if None.
        seed: Which ones.

    Raises:
        GpEmqError: It has no pair of training configurations that can be compared.
    """
    if fitness == "tau":
        return BenchObjective(bench, samples=samples, seed=seed)
    kind = PlanObjective if fitness == "plans" else EqualCostObjective
    return kind(bench, configuration_sizes(bench, layers), samples=samples, seed=seed)


def bench_sha256(bench: Bench) -> str:
    """Sha256 of a bench's configurations, accuracies and split."""
    digest = hashlib.sha256()
    for array in (bench.configurations, bench.accuracies, bench.split):
        digest.update(np.ascontiguousarray(array).tobytes())
    if not bench.higher_is_better:
        digest.update(b"lower is better")
    return digest.hexdigest()
