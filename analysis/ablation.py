"""What each change of a search costs or brings: the plot of `python -m gp_emq.ablate`."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from analysis import _style as style
from gp_emq.ablation import Comparison, Outcome


def plot_ablation(compared: Sequence[Comparison], outcomes: Sequence[Outcome]) -> Figure:
    """Draw the figure of each variant: every seed, and their mean.

    Args:
        compared: A comparison for each variant.
        outcomes: What they were made of.
    """
    held_out = bool(outcomes[0].equal_cost)
    height = 1.9 + 0.34 * len(compared)
    figure = style.new_figure(7.6, height)
    axes = figure.add_axes((0.24, 0.62 / height, 0.73, (height - 1.55) / height))
    figures = {
        one.variant: [
            float(np.mean(list(other.equal_cost.values()))) if held_out else other.formula.training
            for other in outcomes
            if other.variant == one.variant
        ]
        for one in compared
    }
    first = float(np.mean(figures[compared[0].variant]))
    axes.axvline(first, color=style.GREY, lw=1.0, ls=(0, (4, 3)))
    for place, (_, values) in enumerate(figures.items()):
        axes.plot(values, [place] * len(values), "o", color=style.SKY_BLUE, ms=4.5, alpha=0.8)
        axes.plot(np.mean(values), place, "D", color=style.BLUE, ms=6)
    axes.set_yticks(range(len(compared)), list(figures))
    axes.set_ylim(len(compared) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(
        "Kendall τ at equal cost, mean over held-out benches" if held_out else "training Kendall τ"
    )
    best = max(compared, key=lambda one: float(np.mean(figures[one.variant])))
    seeds = len(figures[best.variant])
    benches = len(outcomes[0].equal_cost)
    style.set_title(
        figure,
        f"{best.variant} comes to {np.mean(figures[best.variant]):.3f}, "
        f"{compared[0].variant} to {first:.3f}",
        f"{seeds} seed{'s' if seeds > 1 else ''} each (dots) and their mean (diamond)"
        + (f"; {benches} benches that no search read" if held_out else ""),
        left=0.02,
    )
    return figure


def draw_ablation(
    compared: Sequence[Comparison], outcomes: Sequence[Outcome], folder: Path
) -> tuple[Path, Path]:
    """Write `ablation.png` and `ablation.svg` into a folder, and give their paths.

    Raises:
        RunError: The folder cannot be written.
    """
    with mpl.rc_context(style.STYLE):
        return style.save(plot_ablation(compared, outcomes), folder, "ablation")
