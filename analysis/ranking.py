"""Figures of a ranking: scores against accuracy, and how proxies compare."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from scipy import stats

from analysis import _style as style
from gp_emq.ranking import KENDALL, Ranking, Row

_COLUMNS = 5
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
    height = 1.0 + 1.75 * lines
    figure = style.new_figure(10.0, height)
    grid = figure.add_gridspec(
        lines, _COLUMNS, left=0.06, right=0.99, bottom=0.45 / height, top=1 - 0.95 / height,
        wspace=0.12, hspace=0.42,
    )  # fmt: skip
    for place, row in enumerate(drawn):
        axes = figure.add_subplot(grid[place // _COLUMNS, place % _COLUMNS])
        scores = row.scored.scores
        assert scores is not None  # noqa: S101 - those without were left out above
        ranks = stats.rankdata(scores[ranking.chosen]) / len(ranking.chosen)
        axes.scatter(ranks, ranking.accuracies, s=6, linewidths=0, alpha=0.7,
                     color=_FAMILIES[row.proxy.family])  # fmt: skip
        axes.set_title(row.proxy.name, fontsize=8, pad=3.0)
        tau = f"τ = {row.tau:.2f}".replace("-", "−")
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
        axes.text(0.97, 0.05, tau, transform=axes.transAxes, fontsize=8, ha="right", bbox=box)
        axes.tick_params(labelsize=7, labelleft=place % _COLUMNS == 0, labelbottom=False)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    figure.text(0.5, 0.12 / height, "rank of the score, low to high", ha="center")
    best = drawn[0].proxy.name if drawn else "none"
    style.set_title(
        figure,
        f"{best} ranks {ranking.bench} best",
        f"measured top-1 accuracy of {_what(ranking)} against each proxy's score",
    )
    return figure


def plot_bars(ranking: Ranking) -> Figure:
    """Draw Kendall tau of every proxy with its interval, and the ceilings."""
    drawn = [row for row in ranking.rows if math.isfinite(row.tau)]
    height = 1.5 + 0.21 * len(drawn)
    figure = style.new_figure(8.0, height)
    axes = figure.add_axes((0.24, 0.55 / height, 0.73, 1 - 1.35 / height))
    places = np.arange(len(drawn))[::-1]
    for place, row in zip(places, drawn, strict=True):
        _draw_bar(axes, float(place), row)
    axes.set_yticks(
        places, [f"{row.proxy.name}  {row.mark.value.replace('-', '−')}" for row in drawn]
    )
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Kendall tau with 95 % interval")
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    for value, label in (
        (ranking.quality.noise_ceiling, "noise ceiling"),
        (ranking.quality.additive_ceiling, "additive ceiling"),
    ):
        if not math.isfinite(value):
            continue
        axes.axvline(value, color=style.INK, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.text(value - 0.006, len(drawn) - 0.4, label, fontsize=8, ha="right", va="top",
                  rotation=90)  # fmt: skip
    axes.set_ylim(-0.7, len(drawn) + 0.4)
    families = {row.proxy.family for row in drawn}
    handles = [
        Patch(color=colour, label=name) for name, colour in _FAMILIES.items() if name in families
    ]
    axes.legend(handles=handles, loc="lower right", ncols=2, frameon=True, framealpha=0.9)
    style.set_title(
        figure,
        f"How well proxies rank {ranking.bench}",
        f"{_what(ranking)}; * best hand-crafted, + better, − worse than it beyond chance",
        left=0.02,
    )
    return figure


def _draw_bar(axes: Axes, place: float, row: Row) -> None:
    interval = row.figures[KENDALL]
    colour = _FAMILIES[row.proxy.family]
    axes.barh(place, row.tau, height=0.7, color=colour, alpha=0.75)
    axes.plot([interval.low, interval.high], [place] * 2, color=style.INK, linewidth=1.1)


def _what(ranking: Ranking) -> str:
    split = "" if ranking.options.split == "all" else f"{ranking.options.split} "
    return f"{len(ranking.chosen)} {split}configurations"
