"""Figures of a ranking: scores against accuracy, and how proxies compare."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from analysis import _style as style
from gp_emq.correlation import mean_ranks
from gp_emq.ranking import KENDALL, Ranking, Row

_COLUMNS = 5
_BAR_NAME, _BENCH_NAME = 34, 40
"""Characters of a name beside a bar, and of a bench's in a title."""
_FAMILIES = {
    "size": style.GREY,
    "curvature": style.BLUE,
    "gradient": style.ORANGE,
    "activation": style.GREEN,
    "weight": style.PURPLE,
    "evolved": style.VERMILION,
}


def make_ranking_figures(rankings: Sequence[Ranking], folder: Path) -> list[Path]:
    """Draw and write the figures of each bench, as PNG and SVG.

    Args:
        rankings: One per bench.
        folder: Where to write; made if it is missing.

    Returns:
        The files.

    Raises:
        RunError: The folder cannot be written.
    """
    paths: list[Path] = []
    for ranking in rankings:
        with mpl.rc_context(style.STYLE):
            scatter, bars = plot_scores(ranking), plot_bars(ranking)
        paths += style.save(scatter, folder, f"{ranking.bench}-scores")
        paths += style.save(bars, folder, f"{ranking.bench}-proxies")
    return paths


def plot_scores(ranking: Ranking) -> Figure:
    """Draw one panel per proxy: the rank of its scores against measured accuracy."""
    drawn = [row for row in ranking.rows if row.scored.scores is not None]
    lines = max(1, math.ceil(len(drawn) / _COLUMNS))
    height = 1.2 + 1.75 * lines
    figure = style.new_figure(10.0, height)
    grid = figure.add_gridspec(
        lines, _COLUMNS, left=0.06, right=0.99, bottom=0.45 / height, top=1 - 1.15 / height,
        wspace=0.12, hspace=0.42,
    )  # fmt: skip
    for place, row in enumerate(drawn):
        axes = figure.add_subplot(grid[place // _COLUMNS, place % _COLUMNS])
        scores = row.scored.scores
        assert scores is not None  # noqa: S101 - those without were left out above
        ranks = mean_ranks(scores[ranking.chosen]) / len(ranking.chosen)
        axes.scatter(ranks, ranking.accuracies, s=6, linewidths=0, alpha=0.7,
                     color=_FAMILIES[row.proxy.family])  # fmt: skip
        tau = f"τ {row.tau:.2f}".replace("-", "−")
        shown = axes.set_title(tau, fontsize=7.5, fontweight="normal", pad=3.0, loc="right")
        _set_name(axes, row.proxy.name, beside=shown)
        axes.tick_params(labelsize=7, labelleft=place % _COLUMNS == 0, labelbottom=False)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    figure.text(0.5, 0.12 / height, "rank of the score, low to high", ha="center")
    best = style.cut(drawn[0].proxy.name, _BAR_NAME) if drawn else "none"
    _draw_families(figure, drawn, left=0.06)
    style.set_title(
        figure,
        f"{best} ranks {style.cut(ranking.bench, _BENCH_NAME)} best",
        f"measured top-1 accuracy of {_what(ranking)} against each proxy's score",
        left=0.06,
    )
    return figure


def plot_bars(ranking: Ranking) -> Figure:
    """Draw Kendall tau of every proxy with its interval, and the ceilings."""
    drawn = [row for row in ranking.rows if math.isfinite(row.tau)]
    width, height = 8.0, 1.95 + 0.21 * len(drawn)
    figure = style.new_figure(width, height)
    bottom, top = 0.55 / height, 1 - 1.3 / height
    axes = figure.add_axes((0.24, bottom, 0.73, top - bottom))
    places = np.arange(len(drawn))[::-1]
    for place, row in zip(places, drawn, strict=True):
        _draw_bar(axes, float(place), row)
    axes.set_yticks(
        places,
        [
            f"{style.cut(row.proxy.name, _BAR_NAME)}  {row.mark.value.replace('-', '−')}"
            for row in drawn
        ],
    )
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Kendall tau with 95 % interval")
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    axes.set_ylim(-0.7, len(drawn) - 0.3)
    _draw_ceilings(axes, ranking, axes_height=height * (top - bottom))
    # Names are as long as they are: what they need is taken from the bars.
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    widest = max((label.get_window_extent(renderer).width for label in axes.get_yticklabels()),
                 default=0.0)  # fmt: skip
    left = 0.02 + (widest / figure.dpi + 0.15) / width
    axes.set_position((left, bottom, 0.97 - left, top - bottom))
    _draw_families(figure, drawn, left=0.02)
    style.set_title(
        figure,
        f"How well proxies rank {style.cut(ranking.bench, _BENCH_NAME)}",
        f"{_what(ranking)}; * best hand-crafted, + better, − worse than it beyond chance",
        left=0.02,
    )
    return figure


def _draw_families(figure: Figure, drawn: Sequence[Row], *, left: float) -> None:
    """Say below the title, where no data are, which colour is which family."""
    families = {row.proxy.family for row in drawn}
    shown = {name: Patch(color=colour) for name, colour in _FAMILIES.items() if name in families}
    if shown:
        style.legend_below_title(figure, list(shown.values()), list(shown), left=left)


def _draw_ceilings(axes: Axes, ranking: Ranking, *, axes_height: float) -> None:
    """Draw the ceilings as lines that end above the bars, at what they are called.

    Args:
        axes: Of the bars.
        ranking: What is drawn.
        axes_height: Inches.
    """
    quality = ranking.quality
    known = [
        (value, name)
        for value, name in (
            (quality.noise_ceiling, "noise ceiling"),
            (quality.additive_ceiling, "additive ceiling"),
        )
        if math.isfinite(value)
    ]
    # The lower ends in the lower line, so that no line goes through what the other is called.
    for line, (value, name) in enumerate(sorted(known)):
        end = 1 + (0.05 + 0.17 * line) / axes_height
        axes.plot(
            [value, value], [0, end + 0.12 / axes_height], transform=axes.get_xaxis_transform(),
            color=style.INK, linewidth=1.0, linestyle=(0, (4, 2)), clip_on=False,
        )  # fmt: skip
        axes.annotate(
            f"{name} {value:.3f}".replace("-", "−"), (value, end), (-4, 0),
            xycoords=axes.get_xaxis_transform(), textcoords="offset points", fontsize=8,
            ha="right", va="bottom", annotation_clip=False,
        )  # fmt: skip


def _set_name(axes: Axes, name: str, *, beside: Text) -> None:
    """Write a name above a panel, as much of it as there is room for."""
    title = axes.set_title(name, fontsize=7.5, pad=3.0)
    room = axes.get_window_extent().width - beside.get_window_extent().width - 6.0
    for most in range(len(name) - 1, 3, -1):
        if title.get_window_extent().width <= room:
            return
        title.set_text(style.cut(name, most))


def _draw_bar(axes: Axes, place: float, row: Row) -> None:
    interval = row.figures[KENDALL]
    colour = _FAMILIES[row.proxy.family]
    axes.barh(place, row.tau, height=0.7, color=colour, alpha=0.75)
    axes.plot([interval.low, interval.high], [place] * 2, color=style.INK, linewidth=1.1)


def _what(ranking: Ranking) -> str:
    split = "" if ranking.options.split == "all" else f"{ranking.options.split} "
    return f"{len(ranking.chosen)} {split}configurations"
