"""What a run took."""

import numpy as np

from analysis.reporting import _drawing as look
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import Phase, RunSource


def draw_times(run: RunSource, name: str) -> Drawing:
    """Draw seconds against evaluations, of a run and of its random search."""
    phases = [("search", run.search, look.BLUE)]
    if run.random is not None:
        phases.append(("random search", run.random, look.GREY))
    traces: list[Trace] = [
        {
            "type": "scatter", "mode": "lines", "name": label,
            "x": numbers(phase.course.evaluations),
            "y": numbers(np.cumsum([row.seconds for row in phase.generations])),
            "line": {"color": colour, "width": 2.5}, "hovertemplate": "%{y:.1f} s",
        }
        for label, phase, colour in phases
    ]  # fmt: skip
    layout = {
        "xaxis": axis("fitness evaluations", rangemode="tozero"),
        "yaxis": axis("seconds", rangemode="tozero"),
        "hovermode": "x unified",
    }
    title = f"The search took {duration(run.search.seconds)}"
    note = "Seconds of the generations so far; collecting statistics is not among them."
    return Drawing(name, title, note, traces, layout, height=320, tall=340)


def times_of(run: RunSource) -> list[tuple[str, str]]:
    """What a run took, as names and values."""
    facts = [("Search", _phase(run.search))]
    if run.random is not None:
        facts.append(("Random search", _phase(run.random)))
    return facts


def _phase(phase: Phase) -> str:
    last = phase.generations[-1]
    seconds = phase.seconds
    each = seconds / max(last.evaluations, 1)
    return (
        f"{duration(seconds)}: {last.proposals:,} proposals, {last.evaluations:,} evaluations, "
        f"{1000 * each:.1f} ms for each evaluation with all that was rejected before it"
    )


def duration(seconds: float) -> str:
    """Seconds in words, e.g. `2 min 5 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
