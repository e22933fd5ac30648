"""Where a run's formula comes from: its ancestors, to zoom into and to hover over."""

from collections import Counter
from itertools import pairwise

import numpy as np

from analysis._ancestry import layers_of
from analysis._formulas import shortened
from analysis._layered_layout import layered_layout
from analysis._run_data import training_of
from analysis.reporting import _drawing as look
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._front import hover_text
from analysis.reporting._source import RunSource
from gp_emq.store import IndividualRow

_LOOKS = {
    "crossover": ("crossover", look.BLUE, "solid", "circle"),
    "mutation": ("mutation", look.VERMILION, "dash", "triangle-up"),
    "migration": ("migration", look.SKY, "dashdot", "triangle-down"),
    "fresh": ("fresh random tree", look.GREEN, "dot", "diamond"),
    "seed": ("seed", look.PURPLE, "dot", "square"),
}


def draw_pedigree(run: RunSource, name: str) -> Drawing:
    """Draw the ancestry of the chosen formula, generation by generation."""
    ancestry = run.ancestry
    layers = layers_of(ancestry.shown)
    order = {layer: index for index, layer in enumerate(sorted(set(layers.values())))}
    line = list(pairwise(ancestry.main_line))
    layout = layered_layout(
        {id_: order[layer] for id_, layer in layers.items()}, ancestry.edges, straight=line
    )
    ranks = Counter(generation for generation, _ in order)
    positions = [generation + 0.9 * rank / ranks[generation] for generation, rank in order]
    known = {row.id: row for row in ancestry.shown}
    routes: dict[tuple[str, bool], tuple[list[float | None], list[float | None]]] = {}
    for parent, child in ancestry.edges:
        key = known[child].operator, (parent, child) in line
        x, y = routes.setdefault(key, ([], []))
        between = positions[order[layers[parent]] : order[layers[child]] + 1]
        x += [*numbers(between), None]
        y += [*numbers(layout.routes[parent, child]), None]
    traces = [_edges(operator, main, x, y) for (operator, main), (x, y) in sorted(routes.items())]
    traces += _legend(run)
    places = {id_: (positions[order[layers[id_]]], layout.heights[id_]) for id_ in layers}
    traces += _nodes(run, places)
    heights = [height for _, height in places.values()]
    height = int(np.clip(24 * (max(heights) - min(heights)), 200, 560)) + 150
    taus = numbers([training_of(row) for row in ancestry.shown])
    figure = {
        "xaxis": axis("generation"),
        "yaxis": axis(visible=False),
        "dragmode": "pan",
        "coloraxis": {
            "colorscale": "Viridis",
            # A few bad ancestors must not take the whole range of colours.
            "cmin": numbers([np.percentile(np.array(taus, dtype=float), 5)])[0],
            "cmax": max(tau for tau in taus if tau is not None),
            "colorbar": {
                "title": {"text": "training τ", "side": "top"}, "orientation": "h",
                "thickness": 10, "len": 0.6, "x": 0.5, "y": -58 / (height - 160), "yanchor": "top",
                "nticks": 5,
            },
        },
        "margin": {"b": 110},
    }  # fmt: skip
    return Drawing(name, _finding(run), _shown(run), traces, figure, height, height + 50)


def _finding(run: RunSource) -> str:
    ancestry = run.ancestry
    steps = Counter(
        look_of(row.operator)[0] for row in ancestry.shown if row.id in ancestry.main_line[1:]
    )
    made = " and ".join(
        f"{count} {name}{'s' if count > 1 else ''}" for name, count in sorted(steps.items())
    )
    start = look_of(next(r for r in ancestry.shown if r.id == ancestry.main_line[0]).operator)[0]
    if not made:
        return f"The {run.what} is a {start} without ancestors"
    return f"The {run.what} descends from a {start} by {made}"


def _shown(run: RunSource) -> str:
    ancestry = run.ancestry
    left_out = ancestry.total - len(ancestry.shown)
    which = (
        f"All {ancestry.total:,} ancestors"
        if not left_out
        else f"The {len(ancestry.shown)} of {ancestry.total:,} ancestors that contribute most"
    )
    return (
        f"{which}; the thick line follows the fitter parent. Drag to move, use the buttons or "
        "pinch to zoom, double-click to see all; hover to see a formula and its parents."
    )


def look_of(operator: str) -> tuple[str, str, str, str]:
    """The label, colour, line and sign of an operator; variants share those of their kind."""
    for name, found in _LOOKS.items():
        if operator.startswith(name):
            return found
    return operator.replace("_", " "), look.GREY, "dashdot", "cross"


def _edges(operator: str, main: bool, x: list[float | None], y: list[float | None]) -> Trace:
    _, colour, dash, _ = look_of(operator)
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip",
        "showlegend": False, "opacity": 1.0 if main else 0.55,
        "line": {"color": colour, "width": 3.5 if main else 1.2, "dash": dash,
                 "shape": "spline", "smoothing": 0.6},
    }  # fmt: skip


def _legend(run: RunSource) -> list[Trace]:
    """Say which sign and line is which operator, in one colour: nodes have that of their tau."""
    used = sorted({look_of(row.operator) for row in run.ancestry.shown})
    return [
        {
            "type": "scatter", "mode": "lines+markers", "name": label, "x": [None], "y": [None],
            "line": {"color": colour, "dash": dash},
            "marker": {"color": look.GREY, "symbol": symbol, "size": 10},
        }
        for label, colour, dash, symbol in used
    ]  # fmt: skip


def _nodes(run: RunSource, places: dict[int, tuple[float, float]]) -> list[Trace]:
    ancestry = run.ancestry
    known = {row.id: row for row in ancestry.shown}
    by_kind: dict[str, list[IndividualRow]] = {}
    for row in ancestry.shown:
        by_kind.setdefault(look_of(row.operator)[0], []).append(row)
    line = set(ancestry.main_line)
    return [
        {
            "type": "scatter", "mode": "markers", "name": label, "showlegend": False,
            "x": numbers([places[row.id][0] for row in rows]),
            "y": numbers([places[row.id][1] for row in rows]),
            "text": [_hover(run, row, known) for row in rows],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {
                "symbol": look_of(rows[0].operator)[3], "coloraxis": "coloraxis",
                "color": numbers([training_of(row) for row in rows]),
                "size": [14 if row.id in line else 9 for row in rows],
                "line": {"color": "#ffffff", "width": 1},
            },
        }
        for label, rows in sorted(by_kind.items())
    ]  # fmt: skip


def _hover(run: RunSource, row: IndividualRow, known: dict[int, IndividualRow]) -> str:
    lines = [hover_text(run, row), f"made by {look.plain(look_of(row.operator)[0])}"]
    for parent in dict.fromkeys(row.parents):
        of_parent = known.get(parent)
        formula = "" if of_parent is None else shortened(run.formulas(of_parent.expression), 90)
        text = f"parent #{parent}" + (f": {formula}" if formula else ", not shown")
        lines.append(look.wrapped(text, most=3))
    return "<br>".join(lines)
