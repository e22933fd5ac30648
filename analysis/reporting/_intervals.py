"""Taus with their intervals: of one run on every split, of several on the test configurations."""

from collections.abc import Sequence

import numpy as np

from analysis.reporting import _drawing as look
from analysis.reporting._agreements import Agreement, Tau
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import RunSource


def intervals(
    label: str, names: Sequence[str], taus: Sequence[Tau], colour: str, symbol: str
) -> Trace:
    """Points with error bars, one below the other; unknown ones are left out."""
    known = [(name, tau) for name, tau in zip(names, taus, strict=True) if tau.known]
    return {
        "type": "scatter", "mode": "markers", "name": label,
        "x": numbers([tau.value for _, tau in known]), "y": [name for name, _ in known],
        "marker": {"color": colour, "symbol": symbol, "size": 9},
        "error_x": {
            "type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 4,
            "array": numbers([tau.high - tau.value for _, tau in known]),
            "arrayminus": numbers([tau.value - tau.low for _, tau in known]),
        },
        "text": [str(tau) for _, tau in known], "hovertemplate": "%{y}: %{text}",
    }  # fmt: skip


def draw_agreements(run: RunSource, found: Sequence[Agreement], name: str) -> Drawing | None:
    """Draw tau of every split of every bench with its interval; None without a bench."""
    if not found:
        return None
    several = len(run.benches) > 1
    labels = [
        f"{look.plain(one.bench, 20)}<br>{one.split}" if several else one.split for one in found
    ]
    traces = [
        intervals("all pairs", labels, [one.overall for one in found], look.BLUE, "circle"),
        intervals(
            "pairs of equal cost", labels, [one.equal_cost for one in found], look.ORANGE, "diamond"
        ),
    ]
    tests = [one.overall.value for one in found if one.split == "test" and one.overall.known]
    mean = "mean " if len(tests) > 1 else ""
    title = f"{mean}test τ {np.mean(tests):.3f}" if tests else "no τ on the test configurations"
    height = 130 + 38 * len(found)
    return Drawing(
        name,
        f"{run.what[0].upper()}{run.what[1:]}: {title}",
        "Kendall τ with bootstrap 95 % intervals, over all pairs of configurations, and over pairs "
        "whose sizes differ by under 2 % of the range, which is what a budget asks for.",
        [trace for trace in traces if trace["x"]],
        {"xaxis": axis("Kendall τ"), "yaxis": axis(autorange="reversed", tickfont={"size": 12})},
        height,
        height + 30,
    )
