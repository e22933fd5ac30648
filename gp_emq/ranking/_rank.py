"""Ranking proxies on a bench."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gp_emq.correlation import (
    Correlation,
    Figure,
    FloatArray,
    PairMask,
    draw_weights,
    figure,
    interval,
    kendall,
    rounded,
    whole,
    why_no_pairs,
    why_unrankable,
)
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import Quality, bench_quality
from gp_emq.proxies import Proxy
from gp_emq.ranking._bench import RankedBench
from gp_emq.ranking._comparison import Mark, marks
from gp_emq.ranking._measures import AT_EQUAL_SIZE, KENDALL, measures
from gp_emq.ranking._options import RankOptions
from gp_emq.ranking._regret import SizeBudget, budgets_of, regret
from gp_emq.ranking._scored import Scored, score


@dataclass(frozen=True)
class Row:
    """How well one proxy ranks.

    Attributes:
        proxy: The proxy.
        scored: Its scores and seconds.
        figures: Each measure with its interval; none if it has no scores.
        regrets: Accuracy lost at each budget.
        mark: How it compares with the best hand-crafted one.
        calibration: Kendall tau with each random half of the calibration batch.
    """

    proxy: Proxy
    scored: Scored
    figures: dict[str, Figure]
    regrets: tuple[float, ...]
    mark: Mark
    calibration: tuple[float, ...]

    @property
    def tau(self) -> float:
        """Kendall tau, nan without scores."""
        return self.figures[KENDALL].value if self.figures else float("nan")


@dataclass(frozen=True)
class Ranking:
    """All proxies on one bench, best first.

    Attributes:
        bench: Name of the bench.
        network: Name of its network.
        protocol: Name of the protocol of its accuracies.
        metric: What they are, such as top-1.
        options: How it was ranked.
        chosen: Indices of the configurations that were ranked, (n,).
        accuracies: What was measured of them, turned so that higher is better, (n,).
        quality: How much of the bench is signal, and the ceilings.
        undefined: By name of a measure that no proxy can have here, the reason.
        budgets: The budgets of the regrets.
        rows: One per proxy.
    """

    bench: str
    network: str
    protocol: str
    metric: str
    options: RankOptions
    chosen: NDArray[np.intp]
    accuracies: FloatArray
    quality: Quality
    undefined: Mapping[str, str]
    budgets: tuple[SizeBudget, ...]
    rows: tuple[Row, ...]


def rank(
    target: RankedBench,
    proxies: Sequence[Proxy],
    options: RankOptions,
    progress: Callable[[str], None] = lambda _name: None,
) -> Ranking:
    """Measure how well proxies rank the configurations of a bench.

    Args:
        target: The bench.
        proxies: The proxies.
        options: How to rank.
        progress: Told the name of each proxy when it has been scored.

    Raises:
        GpEmqError: The split has fewer than two configurations, or all have one accuracy.
    """
    chosen = target.indices(options.split)
    accuracies = target.bench.oriented[chosen]
    check_rankable(target, accuracies, options.split)
    sizes = target.sizes[chosen]
    pairs = target.pairs_at_equal_size(chosen)
    yardstick = _Yardstick(
        chosen,
        accuracies,
        sizes,
        weights=draw_weights(len(chosen), len(chosen), options.resamples, options.seed),
        measures=measures(target.bit_sums[chosen], sizes, pairs),
        budgets=budgets_of(sizes),
    )
    inputs = target.proxy_inputs()
    repeats = [
        target.proxy_inputs(options.seed + index) for index in range(options.calibration_repeats)
    ]
    rows, resampled = [], []
    for proxy in proxies:
        form = proxy.form(options.form)
        scored = score(form, inputs, target.bench)
        again = [score(form, repeat, target.bench) for repeat in repeats]
        row, draws = yardstick.row(proxy, scored, again)
        rows.append(row)
        resampled.append(draws)
        progress(proxy.name)
    return Ranking(
        bench=target.bench.name,
        network=target.bench.network,
        protocol=target.bench.protocol,
        metric=target.bench.metric,
        options=options,
        chosen=chosen,
        accuracies=accuracies,
        quality=bench_quality(target.bench),
        undefined=_undefined(accuracies, pairs, options.split),
        budgets=yardstick.budgets,
        rows=_marked(rows, resampled, len(chosen)),
    )


@dataclass(frozen=True)
class _Yardstick:
    """The configurations that scores are held against.

    Attributes:
        chosen: Their indices in the bench, (n,).
        accuracies: What was measured of them, (n,).
        sizes: Of the network at each, (n,).
        weights: How often each resample draws each, (resamples, n).
        measures: The correlations by name.
        budgets: Those of the regrets.
    """

    chosen: NDArray[np.intp]
    accuracies: FloatArray
    sizes: FloatArray
    weights: FloatArray
    measures: Mapping[str, Correlation]
    budgets: tuple[SizeBudget, ...]

    def row(
        self, proxy: Proxy, scored: Scored, repeats: Sequence[Scored]
    ) -> tuple[Row, FloatArray]:
        """Hold a proxy's scores against them.

        Args:
            proxy: The proxy.
            scored: Its scores of all configurations of the bench, if it has any.
            repeats: The same with each half of the calibration batch.

        Returns:
            Its row, not compared with others yet, and Kendall's tau in each resample (resamples,).
        """
        figures: dict[str, Figure] = {}
        regrets: tuple[float, ...] = ()
        draws = np.full(len(self.weights), np.nan)
        if scored.scores is not None:
            scores = rounded(scored.scores[self.chosen])
            draws = kendall(scores, self.accuracies, self.weights)
            figures = {
                name: Figure(self._tau(scores), *interval(draws))
                if name == KENDALL
                else figure(correlation, scores, self.accuracies, self.weights)
                for name, correlation in self.measures.items()
            }
            regrets = tuple(
                regret(scores, self.accuracies, self.sizes, budget) for budget in self.budgets
            )
        calibration = tuple(
            float("nan") if one.scores is None else self._tau(rounded(one.scores[self.chosen]))
            for one in repeats
        )
        return Row(proxy, scored, figures, regrets, Mark.NONE, calibration), draws

    def _tau(self, scores: FloatArray) -> float:
        return float(kendall(scores, self.accuracies, whole(len(self.chosen)))[0])


def _marked(
    rows: Sequence[Row], resampled: Sequence[FloatArray], configurations: int
) -> tuple[Row, ...]:
    """Compare each proxy with the best hand-crafted one, and sort them best first."""
    found = marks(
        np.array([row.tau for row in rows]),
        np.array(resampled),
        [row.proxy.is_handcrafted for row in rows],
        configurations,
    )
    marked = [replace(row, mark=mark) for row, mark in zip(rows, found, strict=True)]
    return tuple(sorted(marked, key=lambda row: falling(row.tau)))


def falling(tau: float) -> float:
    """Sort by falling tau, what has none last."""
    return -float(np.nan_to_num(tau, nan=-2.0))


def check_rankable(target: RankedBench, accuracies: FloatArray, split: str) -> None:
    """Refuse configurations that no proxy can rank.

    Args:
        target: The bench, for the complaint.
        accuracies: What was measured of them, (n,).
        split: Which they are.

    Raises:
        GpEmqError: There are fewer than two, or all have one accuracy.
    """
    reason = why_unrankable(accuracies, _named(split))
    if reason:
        raise GpEmqError(f"bench {target.bench.name} ranks nothing: {reason}")


def _undefined(accuracies: FloatArray, pairs: PairMask, split: str) -> dict[str, str]:
    """Say why the measures are not defined that no proxy can have."""
    reason = why_no_pairs(accuracies, pairs, _named(split))
    return {AT_EQUAL_SIZE: reason} if reason else {}


def _named(split: str) -> str:
    return "configurations" if split == "all" else f"{split} configurations"
