"""How a run's formula ranks beside hand-made proxies, from statistics that are on disk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis._run_data import BenchData
from analysis.reporting import _drawing as look
from analysis.reporting._agreements import (
    UNKNOWN,
    Agreement,
    Tau,
    agreement_on,
    chosen_scores,
    size_scores,
)
from analysis.reporting._drawing import Drawing, axis
from analysis.reporting._intervals import intervals
from analysis.reporting._source import RunSource
from gp_emq.errors import GpEmqError
from gp_emq.proxies import ALIGNED, Proxy
from gp_emq.proxies.handcrafted import HANDCRAFTED
from gp_emq.statistics import Statistics, default_cache, open_statistics

_SIZES = {"sum_of_bits", "bparams"}
"""Hand-made proxies that are shown as what a run compares itself with."""


@dataclass(frozen=True)
class Rival:
    """A proxy beside a run's formula on the test configurations of a bench."""

    name: str
    overall: Tau
    equal_cost: Tau


@dataclass(frozen=True)
class Rivals:
    """All proxies that could be computed on a bench.

    Attributes:
        bench: the bench.
        own: the run's formula.
        others: the best first.
        missing: names of hand-made proxies that could not be computed.
        reason: why they could not, half a sentence.
    """

    bench: BenchData
    own: Agreement
    others: tuple[Rival, ...]
    missing: tuple[str, ...]
    reason: str


def rivals_of(run: RunSource, bench: BenchData) -> Rivals:
    """Measure every proxy that needs nothing but what lies on disk.

    Args:
        run: the run.
        bench: one of its benches.
    """
    own = agreement_on(chosen_scores(run, bench), bench, "test")
    others = [
        Rival(name, found.overall, found.equal_cost)
        for name, scores in size_scores(bench)
        for found in [agreement_on(scores, bench, "test")]
    ]
    others += _of_random_search(run, bench)
    missing: list[str] = []
    statistics, reason = _statistics(run, bench)
    for name, proxy in HANDCRAFTED.items():
        if name in _SIZES:
            continue
        scores = None if statistics is None else _scores(proxy, statistics, bench)
        if scores is None:
            missing.append(name)
            continue
        found = agreement_on(scores, bench, "test")
        others.append(Rival(name, found.overall, found.equal_cost))
    others.sort(key=lambda rival: -np.nan_to_num(rival.overall.value, nan=-2.0))
    known = tuple(rival for rival in others if rival.overall.known or rival.equal_cost.known)
    return Rivals(bench, own, known, tuple(missing), reason)


def draw_rivals(run: RunSource, rivals: Rivals, name: str) -> Drawing | None:
    """Draw a run's formula among other proxies; None where the test ranks nothing."""
    own = Rival(run.what, rivals.own.overall, rivals.own.equal_cost)
    if not own.overall.known:
        return None
    shown = sorted([own, *rivals.others], key=lambda one: -np.nan_to_num(one.overall.value, nan=-2))
    place = 1 + sum(one.overall.value > own.overall.value for one in rivals.others)
    rest = [one for one in shown if one is not own]
    order = [look.plain(one.name, 30) for one in shown]
    labels = [look.plain(one.name, 30) for one in rest]
    traces = [
        intervals("other proxies", labels, [one.overall for one in rest], look.BLUE, "circle"),
        intervals(run.what, [order[shown.index(own)]], [own.overall], look.VERMILION, "star"),
        _at_equal_cost(shown, order),
    ]
    height = 150 + 19 * len(shown)
    note = (
        f"On {rivals.own.configurations} test configurations, Kendall τ with bootstrap 95 % "
        "intervals; open diamonds are τ over pairs of equal cost."
    )
    if rivals.missing:
        note += f" Left out: {len(rivals.missing)} hand-made proxies, {rivals.reason}."
    return Drawing(
        f"{name}-{rivals.bench.place}",
        f"{rivals.bench.name}: the {run.what} ranks {place} of {len(shown)}",
        note,
        [trace for trace in traces if trace["x"]],
        {
            "xaxis": axis("test τ"),
            "yaxis": axis(categoryorder="array", categoryarray=order[::-1], dtick=1,
                          tickfont={"size": 12}),
        },
        height,
        height + 40,
        narrow=len(run.benches) > 1,
    )  # fmt: skip


def _at_equal_cost(shown: Sequence[Rival], order: Sequence[str]) -> look.Trace:
    known = [
        (label, one.equal_cost)
        for label, one in zip(order, shown, strict=True)
        if one.equal_cost.known
    ]
    trace = intervals(
        "at equal cost", [label for label, _ in known], [tau for _, tau in known],
        look.ORANGE, "diamond-open",
    )  # fmt: skip
    del trace["error_x"]
    return trace


def _of_random_search(run: RunSource, bench: BenchData) -> list[Rival]:
    """What the summary says of the random search, in the measure that the run maximised."""
    suffix = f", on {bench.name}" if len(run.benches) > 1 else ""
    for row in (run.summary or {}).get("rows", ()):
        name = str(row.get("name"))
        if name.startswith("random search") and name.endswith(suffix):
            ends = [row.get(key) for key in ("test", "low", "high")]
            if any(not isinstance(end, float) for end in ends):
                return []
            tau = Tau(*ends)
            return [
                Rival("random search", *((UNKNOWN, tau) if run.at_equal_cost else (tau, UNKNOWN)))
            ]
    return []


def _statistics(run: RunSource, bench: BenchData) -> tuple[Statistics | None, str]:
    """Open the statistics that the run was searched on, and say why what is missing is."""
    fingerprint = run.statistics.get(bench.place)
    collect = f"python -m gp_emq.rank --bench {bench.name} ranks them"
    if fingerprint is None:
        return None, f"since the run does not say where its statistics lie: {collect}"
    try:
        statistics = open_statistics(default_cache() / fingerprint)
    except GpEmqError:
        return None, f"whose statistics are not on this machine: {collect}"
    entries, bits = bench.configurations.shape[1], bench.bits
    if statistics.bits != bits or 1 + max(one.entry for one in statistics.layers) != entries:
        return None, "whose statistics are of another network"
    return statistics, f"whose statistics were not collected or that run the network: {collect}"


def _scores(
    proxy: Proxy, statistics: Statistics, bench: BenchData
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    """Score all configurations by a proxy; None where it cannot be computed from disk."""
    form = proxy.form(ALIGNED)
    try:
        if not all(statistics.is_stored(name) for name in form.needs):
            return None
        table = np.asarray(form.table(statistics, cache=default_cache()))
    except GpEmqError:
        return None
    if not np.isfinite(table).all() or not math.isfinite(float(np.abs(table).max())):
        return None
    return bench.scores(table)
