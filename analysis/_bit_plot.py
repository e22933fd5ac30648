"""The bits that a run's best formula gives each entry of its bench."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import _style as style
from analysis._bits import best_bits
from analysis._run_data import bench_of, best_individual, oriented_table
from gp_emq.store import RunStore

_COLOURS = (style.ORANGE, style.SKY_BLUE, style.BLUE, style.GREEN, style.PURPLE, style.VERMILION)


def plot_bits(store: RunStore, average: float | None = None) -> Figure:
    """Draw the widths with the highest score at a given average of bits.

    Args:
        store: of the run.
        average: bits per entry that may be spent; by default the middle of the bit choices.

    Raises:
        RunError: nothing has been evaluated yet.
        ValueError: the average is below the narrowest choice.
    """
    bench = bench_of(store)
    table = oriented_table(best_individual(store), bench, store.folder)
    entries = len(table)
    budget = (bench.bits[0] + bench.bits[-1]) / 2 if average is None else average
    widths = best_bits(table, bench.bits, int(np.floor(budget * entries + 1e-9)))

    figure = style.new_figure(10.0, 3.7)
    axes = figure.add_axes((0.09, 0.33, 0.895, 0.42))
    places = np.arange(entries)
    used = [int(width) for width in np.unique(widths)]
    colours = dict(zip(bench.bits, _COLOURS, strict=False))
    axes.bar(places, widths, color=[colours[int(w)] for w in widths], width=0.72)
    for place, width in zip(places, widths, strict=True):
        axes.annotate(
            str(width), (place, width), (0, 2), textcoords="offset points", ha="center",
            va="bottom", fontsize=8.5, fontweight="bold",
        )  # fmt: skip
    axes.set_xticks(places, bench.entry_names, rotation=40, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, labelsize=8 if entries <= 30 else 5.5)
    axes.set_xlim(-0.6, entries - 0.4)
    axes.set_ylim(0, max(bench.bits) * 1.12)
    axes.set_yticks([0, *bench.bits])
    axes.set_ylabel("bits")
    axes.grid(visible=False, axis="x")
    figure.legend(
        handles=[Patch(color=colours[width], label=f"{width} bits") for width in used],
        loc="upper right", bbox_to_anchor=(0.985, 0.89), ncols=len(used), borderaxespad=0.0,
    )  # fmt: skip
    counts = [f"{width} bits to {int((widths == width).sum())}" for width in used]
    style.set_title(
        figure,
        f"At {budget:g} bits on average the formula gives {', '.join(counts)} of {entries} entries",
        f"Bench {bench.name}: of all assignments that spend at most {budget:g} bits per entry on "
        "average, the one with the highest score",
        left=0.015,
    )
    return figure
