"""How well a run's formula ranks each of its benches, on every split, and at equal cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis._run_data import TEST, TRAINING, VALIDATION, BenchData, oriented_table
from analysis.reporting._source import RunSource
from gp_emq.correlation import among, at_equal_cost, bootstrap_interval, tau_on
from gp_emq.errors import RunError

SPLITS = (("training", TRAINING), ("validation", VALIDATION), ("test", TEST))


@dataclass(frozen=True)
class Tau:
    """A Kendall tau with its bootstrap 95 % interval; nan where there is none."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.value)

    def __str__(self) -> str:
        if not self.known:
            return "–"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]".replace("-", "−")


UNKNOWN = Tau(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Agreement:
    """How scores rank some configurations of a bench.

    Attributes:
        bench: name of the bench.
        split: of the configurations.
        configurations: how many there are.
        overall: over all pairs of them.
        equal_cost: over those of about the same size; unknown where sizes are.
    """

    bench: str
    split: str
    configurations: int
    overall: Tau
    equal_cost: Tau


def agreement_on(scores: NDArray[np.float64], bench: BenchData, split: str) -> Agreement:
    """Measure scores of all configurations of a bench on those of a split.

    Args:
        scores: float64 (n,), higher predicts higher accuracy.
        bench: the bench.
        split: training, validation or test.
    """
    chosen = bench.part(dict(SPLITS)[split])
    accuracies, own = bench.accuracies[chosen], scores[chosen]
    sizes = bench.sizes
    equal = UNKNOWN
    if sizes is not None:
        equal = _tau(own, accuracies, among(at_equal_cost(sizes), chosen))
    return Agreement(bench.name, split, len(chosen), _tau(own, accuracies, None), equal)


def agreements(run: RunSource) -> list[Agreement]:
    """Measure the chosen formula of a run on every split of every bench."""
    return [
        agreement_on(chosen_scores(run, bench), bench, split)
        for bench in run.benches
        for split, _ in SPLITS
    ]


def chosen_scores(run: RunSource, bench: BenchData) -> NDArray[np.float64]:
    """Score all configurations of a bench by the chosen formula of its run."""
    return bench.scores(oriented_table(run.chosen, bench, run.folder))


def size_scores(bench: BenchData) -> list[tuple[str, NDArray[np.float64]]]:
    """Score all configurations by how large they are: what any formula must beat."""
    found = [("sum of bits", bench.configurations.sum(axis=1).astype(np.float64))]
    if bench.sizes is not None:
        found.append(("BParams", bench.sizes))
    return found


def on_validation_networks(run: RunSource) -> Sequence[tuple[str, float]]:
    """Name the benches of `--validate-on`, with the chosen formula's tau on each.

    Raises:
        RunError: the summary of the run is damaged.
    """
    found = (run.summary or {}).get("validation_networks")
    if found is None:
        return ()
    try:
        return [(str(name), float(tau)) for name, tau in found["taus"].items()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"the summary of {run.folder} is damaged: {error}") from error


def rivals_on_validation_networks(run: RunSource) -> Sequence[tuple[str, float]]:
    """Name the hand-made proxies that a run compared its formula with, with their mean taus.

    Raises:
        RunError: the summary of the run is damaged.
    """
    found = (run.summary or {}).get("validation_networks") or {}
    try:
        return [(str(name), float(tau)) for name, tau in found.get("rivals", {}).items()]
    except (AttributeError, TypeError, ValueError) as error:
        raise RunError(f"the summary of {run.folder} is damaged: {error}") from error


def _tau(
    scores: NDArray[np.float64],
    accuracies: NDArray[np.float64],
    pairs: NDArray[np.bool_] | None,
) -> Tau:
    value = tau_on(scores, accuracies, pairs)
    if value is None:
        return UNKNOWN
    return Tau(value, *bootstrap_interval(scores, accuracies, pairs=pairs))
