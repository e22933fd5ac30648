"""What the screen rejects, over time and in all."""

from collections.abc import Sequence

from analysis._rejections import by_kind, rejection_shares, smoothed
from analysis.reporting import _drawing as look
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import RunSource


def draw_screening(run: RunSource, name: str) -> Drawing | None:
    """Draw the shares of proposals that were rejected, by reason; None if none was."""
    generations = run.search.generations
    reasons, shares = rejection_shares(generations)
    if not reasons:
        return None
    smooth, width = smoothed(shares)
    x = [row.generation for row in generations]
    traces: list[Trace] = [
        {
            "type": "scatter", "mode": "lines", "stackgroup": "rejected",
            "name": look.plain(reason),
            "x": x, "y": numbers(100 * share), "hovertemplate": "%{y:.1f} %",
            "line": {"width": 1, "color": colour}, "fillcolor": look.band(colour, 0.65),
        }
        for reason, share, colour in zip(reasons, smooth, look.COLOURS, strict=False)
    ]  # fmt: skip
    rejected = sum(sum(row.rejections.values()) for row in generations)
    proposals = generations[-1].proposals
    title = (
        f"The screen rejects {100 * rejected / max(proposals, 1):.0f} % of {proposals:,} proposals"
    )
    mean = "" if width == 1 else f", mean over {width} generations"
    note = f"By reason, of the proposals of each generation{mean}; none of them was evaluated."
    layout = {
        "xaxis": axis("generation"),
        "yaxis": axis("rejected", ticksuffix=" %", rangemode="tozero"),
        "hovermode": "x unified",
    }
    return Drawing(name, title, note, traces, layout, tall=500)


def draw_screenings(runs: Sequence[RunSource], name: str) -> Drawing | None:
    """Draw what share of all proposals several runs rejected, by reason; None if none was."""
    counted = []
    for run in runs:
        totals: dict[str, int] = {}
        for row in run.search.generations:
            for reason, count in by_kind(row.rejections).items():
                totals[reason] = totals.get(reason, 0) + count
        counted.append(totals)
    overall: dict[str, int] = {}
    for totals in counted:
        for reason, count in totals.items():
            overall[reason] = overall.get(reason, 0) + count
    if not overall:
        return None
    order = sorted(overall, key=lambda reason: (-overall[reason], reason))
    most = len(look.COLOURS) - 1
    kinds: list[tuple[str, Sequence[str]]] = [(reason, [reason]) for reason in order[:most]]
    if order[most:]:
        kinds.append(("other reasons", order[most:]))
    labels = [look.plain(run.label, 34) for run in runs]
    proposals = [max(run.search.generations[-1].proposals, 1) for run in runs]
    traces: list[Trace] = [
        {
            "type": "bar", "orientation": "h", "name": look.plain(title), "y": labels,
            "x": numbers([100 * sum(totals.get(reason, 0) for reason in reasons) / count
                          for totals, count in zip(counted, proposals, strict=True)]),
            "marker": {"color": colour}, "hovertemplate": "%{x:.1f} %",
        }
        for (title, reasons), colour in zip(kinds, look.COLOURS, strict=False)
    ]  # fmt: skip
    shares = [
        sum(totals.values()) / count for totals, count in zip(counted, proposals, strict=True)
    ]
    place = shares.index(max(shares))
    title = f"The screen of {runs[place].label} rejects most, {100 * shares[place]:.0f} %"
    layout = {
        "barmode": "stack",
        "xaxis": axis("share of all proposals", ticksuffix=" %"),
        "yaxis": axis(autorange="reversed"),
    }
    height = 190 + 26 * len(runs)
    note = "What share of all that was proposed the screen rejected, by reason."
    return Drawing(name, title, note, traces, layout, height=height, tall=height + 100)
