"""Where the formula that a run recommends comes from: `python -m analysis.genealogy RUN`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as CurvePath
from matplotlib.ticker import MaxNLocator

from analysis import _style as style
from analysis._ancestry import Ancestry, ancestry_of, layers_of, turning_points
from analysis._command import draw
from analysis._formulas import Formulas, shortened
from analysis._layered_layout import TreeLayout, layered_layout, spread
from analysis._run_data import best_individual, chosen_name, is_finished, training_of
from gp_emq.command import run_command
from gp_emq.store import IndividualRow, RunStore

_POINTS = 6
_FORMULA_LENGTH = 96
# Between the numbers above the graph, as a share of its width.
_BADGE_SPACE = 0.022


def plot_genealogy(store: RunStore) -> Figure:
    """Draw the ancestry of the recommended formula, generation by generation.

    Args:
        store: of the run.

    Raises:
        RunError: nothing has been evaluated yet.
    """
    best = best_individual(store)
    ancestry = ancestry_of(store.ancestry(best.id), best.id)
    layers = layers_of(ancestry.shown)
    order = {layer: index for index, layer in enumerate(sorted(set(layers.values())))}
    main_line = list(pairwise(ancestry.main_line))
    layout = layered_layout(
        {id_: order[layer] for id_, layer in layers.items()}, ancestry.edges, straight=main_line
    )
    positions = _positions(order)
    points = turning_points(ancestry, _POINTS)
    height = _height(layout)
    below = 0.32 + 0.205 * len(points)
    figure = style.new_figure(10.0, height + below + 1.55)
    total = figure.get_size_inches()[1]
    axes = figure.add_axes((0.02, (below + 0.5) / total, 0.875, height / total))
    places = {id_: (positions[order[layers[id_]]], layout.heights[id_]) for id_ in layers}
    _draw_edges(axes, ancestry, layout, {id_: order[layers[id_]] for id_ in layers}, positions)
    colours = _draw_nodes(axes, ancestry, places)
    _finish(axes, best.generation, height)
    _draw_numbers(axes, points, places)
    _draw_colour_bar(figure, colours, (0.912, (below + 0.5) / total, 0.013, height / total))
    _draw_formulas(figure, points, Formulas(store), below)
    _draw_legend(figure, ancestry)
    name = chosen_name(finished=is_finished(store))
    style.set_title(figure, _finding(ancestry, name), _shown(ancestry, name), left=0.02)
    return figure


def _finding(ancestry: Ancestry, name: str) -> str:
    start = next(row for row in ancestry.shown if row.id == ancestry.main_line[0])
    steps = Counter(
        style.operator_style(row.operator).label
        for row in ancestry.shown
        if row.id in set(ancestry.main_line[1:])
    )
    root = training_of(ancestry.root)
    if not steps:
        label = style.operator_style(ancestry.root.operator).label
        return f"The {name} (training τ = {root:.3f}) is a {label} without ancestors"
    made = " and ".join(_counted(count, name) for name, count in sorted(steps.items()))
    return f"{made} led from training τ = {training_of(start):.3f} to {root:.3f}"


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' if count != 1 else ''}"


def _shown(ancestry: Ancestry, name: str) -> str:
    everyone = f"Ancestry of the {name} (generation {ancestry.root.generation})"
    left_out = ancestry.total - len(ancestry.shown)
    if not left_out:
        return f"{everyone}: all {_counted(ancestry.total, 'individual')}"
    return (
        f"{everyone}: the {len(ancestry.shown)} of {ancestry.total:,} individuals that contribute "
        f"most to it; grey ends lead to the {left_out:,} left out"
    )


def _height(layout: TreeLayout) -> float:
    """Inches for the graph, so that nodes of one layer do not touch."""
    heights = [height for route in layout.routes.values() for height in route]
    heights += list(layout.heights.values())
    return float(np.clip(0.3 * (max(heights) - min(heights)), 1.8, 6.2))


def _positions(order: Mapping[tuple[int, int], int]) -> list[float]:
    """The horizontal position of each layer: its generation, and within it its rank."""
    ranks = Counter(generation for generation, _ in order)
    return [generation + 0.9 * rank / ranks[generation] for generation, rank in order]


def _draw_edges(
    axes: Axes,
    ancestry: Ancestry,
    layout: TreeLayout,
    layers: Mapping[int, int],
    positions: Sequence[float],
) -> None:
    known = {row.id: row for row in ancestry.shown}
    line = set(pairwise(ancestry.main_line))
    for parent, child in ancestry.edges:
        look = style.operator_style(known[child].operator)
        main = (parent, child) in line
        x = positions[layers[parent] : layers[child] + 1]
        axes.add_patch(
            PathPatch(
                _curve(x, layout.routes[parent, child]), facecolor="none", edgecolor=look.colour,
                linestyle=look.line, lw=2.6 if main else 1.0, alpha=1.0 if main else 0.6,
                zorder=3 if main else 2, capstyle="round" if look.line == "-" else "butt",
            )
        )  # fmt: skip
    for id_ in sorted(ancestry.cut):
        axes.annotate(
            "", (positions[layers[id_]], layout.heights[id_]), (-13, 0),
            textcoords="offset points", zorder=1,
            arrowprops={"arrowstyle": "-", "color": style.GREY, "lw": 1.0, "ls": (0, (1, 1))},
        )  # fmt: skip


def _curve(x: Sequence[float], y: Sequence[float]) -> CurvePath:
    """A smooth line that is level wherever it passes a layer."""
    vertices, codes = [(x[0], y[0])], [CurvePath.MOVETO]
    for i in range(1, len(x)):
        middle = (x[i - 1] + x[i]) / 2
        vertices += [(middle, y[i - 1]), (middle, y[i]), (x[i], y[i])]
        codes += [CurvePath.CURVE4] * 3
    return CurvePath(vertices, codes)


def _draw_nodes(
    axes: Axes, ancestry: Ancestry, places: Mapping[int, tuple[float, float]]
) -> ScalarMappable:
    taus = np.array([training_of(row) for row in ancestry.shown])
    # A few bad ancestors must not take the whole range of colours.
    low, high = float(np.percentile(taus, 5)), float(taus.max())
    norm = Normalize(low, high if high > low else low + 0.01)
    scale = ScalarMappable(norm, cmap="viridis")
    line = set(ancestry.main_line)
    generations = ancestry.root.generation - ancestry.shown[0].generation + 1
    width = float(np.clip(450 / max(generations, len(ancestry.main_line)), 5.0, 7.6))
    for row in ancestry.shown:
        main = row.id in line
        axes.scatter(
            *places[row.id], s=(width * (1.25 if main else 1.0)) ** 2, c=[training_of(row)],
            norm=norm, cmap=scale.cmap, zorder=5 if main else 4,
            marker=style.operator_style(row.operator).marker,
            edgecolor=style.INK if main else "#666666", linewidth=1.2 if main else 0.5,
        )  # fmt: skip
    return scale


def _draw_numbers(
    axes: Axes, points: Sequence[IndividualRow], places: Mapping[int, tuple[float, float]]
) -> None:
    """Number the points in a strip above the graph, where they cover nothing."""
    left, right = axes.get_xlim()
    apart = _BADGE_SPACE * (right - left)
    wanted = [places[row.id][0] for row in points]
    strip = axes.get_xaxis_transform()
    for number, (row, x) in enumerate(zip(points, spread(wanted, apart), strict=True), start=1):
        axes.annotate(
            str(number), places[row.id], (x, 1.0), textcoords=strip, ha="center", va="center",
            fontsize=8, fontweight="bold", color="white", zorder=3.5,
            bbox={"boxstyle": "circle,pad=0.24", "facecolor": style.INK, "lw": 0},
            arrowprops={"arrowstyle": "-", "color": style.INK, "lw": 0.8, "alpha": 0.7,
                        "shrinkB": 4},
        )  # fmt: skip


def _finish(axes: Axes, last: int, inches: float) -> None:
    axes.autoscale_view()
    low, high = axes.get_ylim()
    # Above the graph there is a strip for the numbers.
    strip = 0.3 * (high - low) / inches
    axes.set_ylim(low - 0.5 * strip, high + 1.3 * strip)
    room = max(0.02 * last, 0.15)
    axes.set_xlim(-2 * room, last + 0.9 * (last == 0) + 2 * room)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.set_xlabel("generation")


def _draw_colour_bar(
    figure: Figure, scale: ScalarMappable, box: tuple[float, float, float, float]
) -> None:
    bar = figure.colorbar(scale, cax=figure.add_axes(box), extend="min")
    bar.set_label("training Kendall τ")
    bar.outline.set_visible(False)


def _draw_formulas(
    figure: Figure, points: Sequence[IndividualRow], formulas: Formulas, below: float
) -> None:
    total = figure.get_size_inches()[1]
    for number, row in enumerate(points, start=1):
        y = (below - 0.205 * number) / total
        facts = f"τ = {training_of(row):.3f}"
        made = f"generation {row.generation}, {style.operator_style(row.operator).label}"
        formula = shortened(formulas(row.expression), _FORMULA_LENGTH)
        figure.text(0.02, y, str(number), fontsize=8.5, fontweight="bold")
        figure.text(0.038, y, facts, fontsize=8.5)
        figure.text(0.105, y, made, fontsize=8.5, color="#555555")
        figure.text(0.31, y, formula, fontsize=8.5)


def _draw_legend(figure: Figure, ancestry: Ancestry) -> None:
    total = figure.get_size_inches()[1]
    looks = {style.operator_style(row.operator).label: row.operator for row in ancestry.shown}
    handles = []
    for label in sorted(looks, key=style.operator_order):
        look = style.operator_style(looks[label])
        has_parents = any(row.parents for row in ancestry.shown if row.operator == looks[label])
        handles.append(
            Line2D(
                [], [], color=look.colour if has_parents else "none", linestyle=look.line, lw=1.6,
                marker=look.marker, ms=7, markerfacecolor="#BDBDBD", markeredgecolor=style.INK,
                markeredgewidth=0.6, label=label,
            )
        )  # fmt: skip
    if len(ancestry.main_line) > 1:
        handles.append(
            Line2D([], [], color=style.INK, lw=2.8, label="line of the fitter parent (thick)")
        )
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.012, 1 - 0.56 / total),
        ncols=len(handles), handlelength=3.4, columnspacing=1.8, borderaxespad=0.0,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the genealogy of a run's recommended formula."""
    description = "Draw the ancestry of a run's recommended formula."
    return draw("genealogy", description, plot_genealogy, arguments)


if __name__ == "__main__":
    run_command(main)
