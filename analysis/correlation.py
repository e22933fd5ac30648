"""How well a run's formula ranks accuracies: `python -m analysis.correlation RUN`."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from analysis import _style as style
from analysis._agreement import Agreement, agreement
from analysis._command import draw
from analysis._formulas import Formulas, shortened
from analysis._run_data import (
    TEST,
    TRAINING,
    BenchData,
    bench_of,
    best_individual,
    chosen_name,
    is_finished,
    oriented_table,
)
from gp_emq.command import run_command
from gp_emq.store import RunStore


def plot_correlation(store: RunStore) -> Figure:
    """Draw scores against measured accuracy: the recommended formula's and the sum of bits.

    Args:
        store: of the run.

    Raises:
        RunError: nothing has been evaluated yet.
    """
    bench = bench_of(store)
    best = best_individual(store)
    scores = bench.scores(oriented_table(best, bench, store.folder))
    totals = bench.configurations.sum(axis=1).astype(np.float64)
    test = bench.part(TEST)
    evolved = agreement(scores[test], bench.accuracies[test])
    baseline = agreement(totals[test], bench.accuracies[test])

    figure = style.new_figure(10.0, 5.0)
    grid = figure.add_gridspec(
        1, 3, width_ratios=(1.0, 1.0, 0.028), left=0.073, right=0.937, bottom=0.115, top=0.785,
        wspace=0.11,
    )  # fmt: skip
    left = figure.add_subplot(grid[0, 0])
    right = figure.add_subplot(grid[0, 1], sharey=left)
    _draw_scatter(left, _standardised(scores), bench)
    points = _draw_scatter(right, _spread(totals), bench)
    name = chosen_name(finished=is_finished(store))
    left.set_xlabel(f"score of the {name} (standardised)")
    right.set_xlabel("sum of bits (jittered by ± 0.3)")
    left.set_ylabel("measured top-1 accuracy")
    left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    right.tick_params(labelleft=False)
    right.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    style.letter(left, "a", f"{name.capitalize()}: τ = {evolved}")
    style.letter(right, "b", f"Sum of bits: τ = {baseline}")
    left.legend(loc="upper left", handletextpad=0.2, borderaxespad=0.2)
    bar = figure.colorbar(points, cax=figure.add_subplot(grid[0, 2]))
    bar.set_label("mean bits per entry")
    bar.outline.set_visible(False)
    formula = shortened(Formulas(store)(best.expression), 110)
    style.set_title(
        figure,
        _finding(evolved, baseline),
        f"Bench {bench.name}, {len(test)} test configurations that the search never saw; "
        f"Kendall τ with bootstrap 95 % interval\n{formula}",
        left=0.015,
    )
    return figure


def _finding(evolved: Agreement, baseline: Agreement) -> str:
    if evolved.undefined:
        return f"No τ on the test configurations: {evolved.undefined}"
    against = f"τ = {evolved.tau:.2f} against {baseline.tau:.2f}"
    low, high = evolved.minus(baseline)
    if low > 0:
        return f"The evolved formula ranks better than the sum of bits: {against}"
    if high < 0:
        return f"The evolved formula ranks worse than the sum of bits: {against}"
    return f"The evolved formula and the sum of bits come close: {against}"


def _standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = scores.std()
    standardised: NDArray[np.float64] = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
    return standardised


def _spread(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Move equal totals apart, so that no point hides another."""
    return totals + np.random.default_rng(0).uniform(-0.3, 0.3, len(totals))


def _draw_scatter(axes: Axes, x: NDArray[np.float64], bench: BenchData) -> PathCollection:
    training, test = bench.part(TRAINING), bench.part(TEST)
    axes.scatter(
        x[training], bench.accuracies[training], s=14, facecolor="none",
        edgecolor="#BDBDBD", linewidth=0.8, label=f"training ({len(training)})",
    )  # fmt: skip
    return axes.scatter(
        x[test], bench.accuracies[test], s=26, c=bench.configurations[test].mean(axis=1),
        cmap="cividis", edgecolor="white", linewidth=0.4, label=f"test ({len(test)})",
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the correlation of a run's recommended formula with accuracy."""
    description = "Draw the scores of a run's recommended formula against measured accuracy."
    return draw("correlation", description, plot_correlation, arguments)


if __name__ == "__main__":
    run_command(main)
