"""Collecting a run's statistics, here or by several workers that share a cache."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.errors import StatisticsError
from gp_emq.mqbench import Bench, bench_inputs, load_bench
from gp_emq.statistics import Statistics, collect_statistics

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


def bench_statistics(
    bench: Bench,
    weights: str | None,
    data: Sequence[str],
    cache: Path,
    network: str | None = None,
) -> Statistics:
    """Prepare the statistics of a bench's network; nothing is computed yet.

    Args:
        bench: The bench.
        weights: File of the network's weights, where it needs one.
        data: Files and folders of its images, likewise.
        cache: Folder below which statistics are kept.
        network: The network, where it is one's own; see `bench_inputs`.

    Raises:
        GpEmqError: Weights or data are missing or do not fit.
    """
    inputs = bench_inputs(
        bench,
        weights=Path(weights) if weights else None,
        data=[Path(item) for item in data] or None,
        network=network,
    )
    return collect_statistics(
        inputs.calibration,
        bits=bench.bits,
        quantizer=inputs.quantizer,
        layers=inputs.network.layers,
        cache=cache,
    )


@dataclass(frozen=True)
class StatisticsJob:
    """Collects statistics of a bench's network into a cache; items are their names.

    Args:
        bench: Name or file of the bench.
        weights: As for `bench_statistics`.
        data: As for `bench_statistics`.
        cache: As for `bench_statistics`.
        network: As for `bench_statistics`.
    """

    bench: str
    weights: str | None
    data: tuple[str, ...]
    cache: Path
    network: str | None = None

    @property
    def key(self) -> Hashable:
        """The arguments: all that the set-up depends on."""
        return ("statistics", self.bench, self.weights, self.data, self.cache, self.network)

    def set_up(self) -> Statistics:
        """Load network and images."""
        bench = load_bench(self.bench)
        return bench_statistics(bench, self.weights, self.data, self.cache, self.network)

    def work(self, state: Statistics, items: Sequence[str]) -> list[str]:
        """Collect some statistics; they are left in the cache."""
        state.prepare(items)
        return list(items)

    def failed(self, item: str, reason: str) -> str:
        """Give up: no search can do without a statistic that its primitives name."""
        raise StatisticsError(f"statistic {item!r} could not be collected: {reason}")
