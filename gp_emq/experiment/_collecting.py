"""Collecting a run's statistics, here or by several workers that share a cache."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.errors import StatisticsError
from gp_emq.mqbench import Bench, bench_inputs, load_bench
from gp_emq.statistics import Statistics

_DEAREST = ("hessian_top_eigenvalue", "hessian_diagonal", "fisher_diagonal")
"""Statistics to begin with where several workers share them out."""

_MADE_OF = {"hessian_trace": "hessian_diagonal", "quantization_mse": "perturbation"}
"""Statistics that cost nothing once another is there."""


def shared_out(names: Sequence[str]) -> list[str]:
    """Give the statistics that workers should collect, dearest first.

    Args:
        names: What is missing; what is made of others among them is left to whoever asks for it.
    """
    apart = [name for name in names if _MADE_OF.get(name) not in names]
    return sorted(apart, key=lambda name: (*(name != dear for dear in _DEAREST), name))


@dataclass(frozen=True)
class Given:
    """What the user gave for a bench that does not find its own network.

    Args:
        weights: File of the network's weights, where it needs one.
        data: Files and folders of its images, likewise.
        network: The network, where it is one's own; see `bench_inputs`.
        workload: What the bench was measured of, where that is one's own.
    """

    weights: str | None = None
    data: tuple[str, ...] = ()
    network: str | None = None
    workload: str | None = None


def bench_statistics(bench: Bench, cache: Path, given: Given = Given()) -> Statistics:
    """Prepare the statistics of a bench's network; nothing is computed yet.

    Args:
        bench: The bench.
        cache: Folder below which statistics are kept.
        given: Where the network is from.

    Raises:
        GpEmqError: Weights or data are missing or do not fit.
    """
    inputs = bench_inputs(
        bench,
        weights=Path(given.weights) if given.weights else None,
        data=[Path(item) for item in given.data] or None,
        network=given.network,
        workload=given.workload,
    )
    return inputs.statistics(bench.bits, cache=cache)


@dataclass(frozen=True)
class StatisticsJob:
    """Collects statistics of a bench's network into a cache; items are their names.

    Args:
        bench: Name or file of the bench.
        cache: As for `bench_statistics`.
        given: As for `bench_statistics`.
    """

    bench: str
    cache: Path
    given: Given = Given()

    @property
    def key(self) -> Hashable:
        """The arguments: all that the set-up depends on."""
        return ("statistics", self.bench, self.cache, self.given)

    def set_up(self) -> Statistics:
        """Load network and images."""
        return bench_statistics(load_bench(self.bench), self.cache, self.given)

    def work(self, state: Statistics, items: Sequence[str]) -> list[str]:
        """Collect some statistics; they are left in the cache."""
        state.prepare(items)
        return list(items)

    def failed(self, item: str, reason: str) -> str:
        """Give up: no search can do without a statistic that its primitives name."""
        raise StatisticsError(f"statistic {item!r} could not be collected: {reason}")
