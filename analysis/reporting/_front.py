"""The Pareto front of tau against size, with the formulas behind it."""

from collections.abc import Sequence

from analysis._run_data import training_of
from analysis.reporting import _drawing as look
from analysis.reporting._course import colour_of, dash_of
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import RunSource
from gp_emq.store import IndividualRow

_FEW_NODES = 12


def draw_front(run: RunSource, name: str) -> Drawing:
    """Draw the best formula of each size; hovering shows it."""
    front = run.front
    traces = [_front(run, "training", look.BLUE)]
    if any(row.validation_tau is not None for row in front):
        traces.append(_front(run, "validation", look.VERMILION, validation=True))
    if any(row.id == run.chosen.id for row in front):
        traces.append(_star(run, run.what, look.BLUE))
    sizes = [row.size for row in front]
    title = f"From {sizes[0]} to {sizes[-1]} nodes, training τ grows to "
    title += f"{training_of(front[-1]):.3f}"
    note = "No smaller formula ranks the training configurations better. Hover to see a formula."
    if run.summary is not None:
        note += " The star is the one that is recommended."
    return Drawing(name, title, note, traces, _layout([run]))


def draw_fronts(runs: Sequence[RunSource], name: str) -> Drawing:
    """Draw the training fronts of several runs."""
    traces: list[Trace] = []
    for place, run in enumerate(runs):
        label, colour = look.plain(run.label), colour_of(place)
        line = _front(run, label, colour, dash=dash_of(place))
        traces += [line, {**_star(run, label, colour), "showlegend": False}]
    shortest = min(runs, key=lambda run: run.chosen.size)
    title = f"{shortest.label} recommends the shortest formula, {shortest.chosen.size} nodes"
    note = "The fronts of training τ against size; stars are the formulas of the runs."
    return Drawing(name, title, note, traces, _layout(runs), height=440, tall=440 + 22 * len(runs))


def _layout(runs: Sequence[RunSource]) -> dict[str, object]:
    most = max(run.front[-1].size for run in runs)
    whole = {"dtick": 1} if most <= _FEW_NODES else {}  # or there would be halves of nodes
    return {
        "xaxis": axis("size of the formula (nodes of its tree)", **whole),
        "yaxis": axis("Kendall τ"),
    }


def _front(
    run: RunSource, label: str, colour: str, *, validation: bool = False, dash: str = "solid"
) -> Trace:
    front = run.front
    values = [row.validation_tau if validation else row.training_tau for row in front]
    return {
        "type": "scatter", "mode": "lines+markers", "name": label,
        "x": [row.size for row in front],
        "y": numbers([float("nan") if value is None else value for value in values]),
        "line": {"color": colour, "width": 1.5 if validation else 2.5,
                 "dash": "dot" if validation else dash,
                 "shape": "linear" if validation else "hv"},
        "marker": {"color": colour, "size": 7},
        "text": [hover_text(run, row) for row in front],
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _star(run: RunSource, label: str, colour: str) -> Trace:
    row = run.chosen
    return {
        "type": "scatter", "mode": "markers", "name": label, "x": [row.size],
        "y": numbers([training_of(row)]),
        "marker": {"symbol": "star", "size": 17, "color": colour,
                   "line": {"color": "#ffffff", "width": 1}},
        "text": [hover_text(run, row)], "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def hover_text(run: RunSource, row: IndividualRow) -> str:
    """What hovering over a formula says."""
    facts = f"training τ {training_of(row):.3f}"
    if row.validation_tau is not None:
        facts += f", validation τ {row.validation_tau:.3f}"
    formula = run.formulas(row.expression)
    lines = [
        f"<b>{look.wrapped(formula)}</b>",
        f"{facts}<br>{row.size} nodes, generation {row.generation}, #{row.id}",
    ]
    if formula != row.expression:
        lines.append(look.wrapped(row.expression))
    return "<br>".join(lines)
