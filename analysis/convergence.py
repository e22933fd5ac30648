"""How a search converges: `python -m analysis.convergence RUN`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from analysis import _style as style
from analysis._command import draw
from analysis._rejections import rejection_shares, smoothed
from analysis._run_data import (
    TRAINING,
    BenchData,
    Course,
    bench_of,
    evaluated_individuals,
    progress_of,
    random_search_of,
)
from gp_emq.command import run_command
from gp_emq.correlation import kendall_tau
from gp_emq.errors import RunError
from gp_emq.store import GenerationRow, RunStore

_REASON_STYLES = (
    (style.BLUE, ""),
    (style.ORANGE, "////"),
    (style.SKY_BLUE, ""),
    (style.VERMILION, "\\\\\\\\"),
    (style.GREEN, ""),
    (style.PURPLE, "...."),
    (style.PALE, ""),
)


def plot_convergence(store: RunStore) -> Figure:
    """Draw fitness, rejections and diversity over the course of a run.

    Args:
        store: of the run; where its folder holds a random search, that is drawn beside it.

    Raises:
        RunError: the run has not completed a generation.
    """
    generations = store.generations()
    if not generations:
        raise RunError(f"the run {store.folder} has not completed a generation yet")
    bench = bench_of(store)
    progress = progress_of(generations, evaluated_individuals(store))
    random_search = random_search_of(store)
    figure = style.new_figure(10.0, 5.6)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1.75, 1.0), left=0.065, right=0.985, bottom=0.095, top=0.82,
        wspace=0.24, hspace=0.5,
    )  # fmt: skip
    # Above the curves there is room for their legend, so that it never covers one.
    left = grid[:, 0].subgridspec(2, 1, height_ratios=(0.17, 1.0), hspace=0.0)
    _draw_fitness(figure.add_subplot(left[1]), progress, random_search, bench)
    _draw_rejections(figure.add_subplot(grid[0, 1]), generations)
    _draw_diversity(figure.add_subplot(grid[1, 1]), generations)
    style.set_title(
        figure, _finding(progress, random_search), _shown(bench, generations), left=0.015
    )
    return figure


def _finding(progress: Course, random_search: Course | None) -> str:
    start, end = progress.training[0], progress.training[-1]
    evaluations = int(progress.evaluations[-1])
    rise = f"Training τ rises from {start:.3f} to {end:.3f} in {evaluations:,} evaluations"
    if random_search is None:
        return rise
    return f"{rise}; random search reaches {random_search.training[-1]:.3f}"


def _shown(bench: BenchData, generations: Sequence[GenerationRow]) -> str:
    return (
        f"Bench {bench.name}: {len(bench.part(TRAINING))} training configurations; "
        f"{generations[-1].generation} generations, {generations[-1].proposals:,} formulas proposed"
    )


def _draw_fitness(
    axes: Axes, progress: Course, random_search: Course | None, bench: BenchData
) -> None:
    x = progress.evaluations
    axes.fill_between(
        x, progress.quartiles[0], progress.quartiles[2], color=style.SKY_BLUE, alpha=0.3, lw=0,
        label="population, middle half",
    )  # fmt: skip
    axes.plot(
        x, progress.quartiles[1], color=style.SKY_BLUE, lw=1.5, ls=(0, (1.2, 1.2)),
        label="population median, training",
    )  # fmt: skip
    marks = max(1, len(x) // 12)
    if random_search is not None:
        axes.plot(
            random_search.evaluations, random_search.training, color=style.GREY, ls="--",
            drawstyle="steps-post", marker="D", ms=3.5,
            markevery=max(1, len(random_search.evaluations) // 12),
            label="random search, best so far, on training",
        )  # fmt: skip
    axes.plot(
        x, progress.validation, color=style.VERMILION, drawstyle="steps-post", ls="-", lw=1.4,
        marker="o", ms=4, markevery=(marks // 2, marks), label="the same formula, on validation",
    )  # fmt: skip
    axes.plot(
        x, progress.training, color=style.BLUE, drawstyle="steps-post", lw=2.4,
        marker="s", ms=4, markevery=marks, label="best formula so far, on training",
    )  # fmt: skip
    baseline = _sum_of_bits(bench)
    axes.axhline(baseline, color=style.INK, lw=1.0, ls=(0, (6, 2, 1, 2)))
    # A poor first population must not press everything else together; it may leave the panel.
    settled = progress.quartiles[1, len(x) // 20 :]
    lowest = np.nanmin(np.concatenate([settled, progress.validation, [baseline]]))
    highest = np.nanmax(np.concatenate([progress.training, progress.validation, [baseline]]))
    room = highest - lowest
    axes.set_ylim(lowest - 0.08 * room, highest + 0.06 * room)
    axes.set_xlim(0, 1.01 * max(float(x[-1]), 1.0))
    axes.annotate(
        f"sum of bits, training: {baseline:.3f}", (1, baseline), (-3, -3), va="top", ha="right",
        xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=8.5,
    )  # fmt: skip
    handles, labels = axes.get_legend_handles_labels()
    order = np.argsort([_LEGEND_ORDER.index(label) for label in labels])
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="lower left",
        bbox_to_anchor=(-0.01, 1.0), ncols=2, handlelength=3.2, borderaxespad=0.2,
        labelspacing=0.35, columnspacing=2.0,
    )  # fmt: skip
    axes.set_xlabel("fitness evaluations")
    axes.set_ylabel("Kendall τ with measured accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.set_title("a\N{EM SPACE}Fitness of the formulas", pad=50)


_LEGEND_ORDER = (
    "best formula so far, on training",
    "the same formula, on validation",
    "random search, best so far, on training",
    "population median, training",
    "population, middle half",
)


def _sum_of_bits(bench: BenchData) -> float:
    training = bench.part(TRAINING)
    totals = bench.configurations[training].sum(axis=1).astype(np.float64)
    return kendall_tau(totals, bench.accuracies[training])


def _draw_rejections(axes: Axes, generations: Sequence[GenerationRow]) -> None:
    reasons, shares = rejection_shares(generations)
    smooth, width = smoothed(shares)
    x = [row.generation for row in generations]
    base = np.zeros(len(x))
    for (colour, hatch), reason, share in zip(_REASON_STYLES, reasons, smooth, strict=False):
        axes.fill_between(
            x, base, base + share, facecolor=colour, hatch=hatch, edgecolor="white", lw=0.4,
            label=reason,
        )  # fmt: skip
        base = base + share
    axes.set_xlim(x[0], 1.015 * max(x[-1], x[0] + 1))
    axes.set_ylim(0, min(1.0, 1.75 * max(float(base.max()), 0.05)))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if reasons:
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            handles[::-1], labels[::-1], loc="upper left", ncols=2, fontsize=7.5,
            handlelength=1.5, columnspacing=1.2, labelspacing=0.3, borderaxespad=0.2,
        )  # fmt: skip
    total = shares.sum(axis=0).mean() if reasons else 0.0
    style.letter(axes, "b", f"Screening rejects {100 * total:.0f} % of proposals")
    axes.set_xlabel("generation" if width == 1 else f"generation (mean over {width})")


def _draw_diversity(axes: Axes, generations: Sequence[GenerationRow]) -> None:
    x = [row.generation for row in generations]
    y = [row.diversity for row in generations]
    axes.plot(x, y, color=style.GREEN, marker="o", ms=3, markevery=max(1, len(x) // 15))
    axes.fill_between(x, 0, y, color=style.GREEN, alpha=0.12, lw=0)
    axes.set_xlim(x[0], 1.015 * max(x[-1], x[0] + 1))
    axes.set_ylim(0, max(1e-3, 1.15 * float(np.nanmax([*y, 0.0]))))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("generation")
    axes.set_ylabel("1 − mean |rank correlation|", fontsize=8)
    style.letter(axes, "c", f"Diversity ends at {y[-1]:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the convergence of a run."""
    description = "Draw fitness, rejections and diversity over the course of a run."
    return draw("convergence", description, plot_convergence, arguments)


if __name__ == "__main__":
    run_command(main)
