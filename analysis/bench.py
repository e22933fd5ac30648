"""The figure of a bench: accuracy against size."""

import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from analysis import _style as style
from gp_emq.files import atomic_write_bytes
from gp_emq.mqbench import Bench, model_sizes
from gp_emq.networks import TOP_1
from gp_emq.outputs import PICTURES, check_output_file

_KIBIBYTES_BELOW = 0.1
_LEFT = 0.02
_MOST_NAME, _MOST_METRIC = 32, 16
"""Characters, in the title."""


def write_bench_figure(
    bench: Bench, path: Path, network: str | None = None, workload: str | None = None
) -> None:
    """Draw a bench and write the picture.

    Args:
        bench: The bench.
        path: The picture; its ending decides the format.
        network: As for `model_sizes`, and so is `workload`.
        workload: Instead of a network.

    Raises:
        BenchError: The bench names code to run.
        RunError: The picture cannot be written, or its format is unknown.
    """
    check_output_file(path, PICTURES)
    sizes = model_sizes(bench, network, workload)
    buffer, ending = io.BytesIO(), path.suffix.lower()
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending)
    with mpl.rc_context(style.STYLE):
        figure = plot_bench(bench, sizes)
        figure.savefig(buffer, format=ending[1:], dpi=style.DOTS_PER_INCH, metadata=dates)
    atomic_write_bytes(path, buffer.getvalue())


def plot_bench(bench: Bench, sizes: NDArray[np.float64]) -> Figure:
    """Draw accuracy against size, coloured by the mean bits of a configuration.

    Args:
        bench: The bench.
        sizes: MiB of each configuration, (n,).
    """
    unit = "MiB"
    if sizes.max() < _KIBIBYTES_BELOW:
        sizes, unit = 1024 * sizes, "KiB"
    is_share = bench.metric == TOP_1.name
    figure = style.new_figure(7.0, 5.0)
    axes = figure.add_axes((0.115, 0.11, 0.725, 0.73))
    drawn = axes.scatter(
        sizes, bench.accuracies, c=bench.configurations.mean(axis=1), cmap="viridis", s=16,
        linewidths=0.3, edgecolors="white",
    )  # fmt: skip
    floating = bench.provenance.get("float_accuracy")
    if isinstance(floating, float):
        line = axes.axhline(floating, color=style.INK, linestyle=(0, (4, 2)), linewidth=1.0)
        style.legend_below_title(figure, [line], ["float network"], left=_LEFT)
    if is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_xlabel(f"size, {unit} (batch norm counted at the layer's bits)")
    axes.set_ylabel("measured top-1 accuracy" if is_share else bench.metric)
    bar = figure.colorbar(drawn, cax=figure.add_axes((0.87, 0.11, 0.022, 0.73)))
    bar.set_label("mean bits of the entries")
    bar.outline.set_visible(False)
    style.set_title(figure, _finding(bench, is_share=is_share), _shown(bench), left=_LEFT)
    return figure


def _finding(bench: Bench, *, is_share: bool) -> str:
    name = style.cut(bench.name, _MOST_NAME)
    lowest, highest = float(bench.accuracies.min()), float(bench.accuracies.max())
    if is_share:
        return f"{name}: accuracy {100 * lowest:.1f} % to {100 * highest:.1f} %"
    return f"{name}: {style.cut(bench.metric, _MOST_METRIC)} {lowest:.4g} to {highest:.4g}"


def _shown(bench: Bench) -> str:
    bits = ", ".join(map(str, bench.bits))
    return f"{len(bench.accuracies)} configurations of {bits} bits, measured by {bench.protocol}"
