"""The look of all figures: readable in print, for the colour-blind, and the same each time."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gp_emq.errors import RunError
from gp_emq.files import atomic_write_bytes

# The palette of Okabe and Ito, told apart by all kinds of colour vision.
BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#8A8A8A"
PALE = "#D9D9D9"
INK = "#222222"

# Any: the names of matplotlib's settings differ between the versions that are supported.
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Text stays text: it can be searched and read aloud, and the file is small.
    "svg.fonttype": "none",
    # Without a salt the identifiers inside an SVG differ from one writing to the next.
    "svg.hashsalt": "gp_emq",
}
DOTS_PER_INCH = 160


@dataclass(frozen=True)
class OperatorStyle:
    """How individuals made by one operator, and the edges to their parents, are drawn."""

    label: str
    colour: str
    line: Any  # whatever matplotlib takes as a line style
    marker: str


_OPERATORS = {
    "crossover": OperatorStyle("crossover", BLUE, "-", "o"),
    "mutation": OperatorStyle("mutation", VERMILION, (0, (4.0, 1.6)), "^"),
    "migration": OperatorStyle("migration", SKY_BLUE, (0, (6.0, 1.0, 1.0, 1.0)), "v"),
    "fresh": OperatorStyle("fresh random tree", GREEN, (0, (1.0, 1.4)), "D"),
    "seed": OperatorStyle("seed", PURPLE, (0, (1.0, 1.4)), "s"),
}


def operator_style(operator: str) -> OperatorStyle:
    """The style of an operator; variants share that of their kind (`mutation_shrink`)."""
    for name, style in _OPERATORS.items():
        if operator.startswith(name):
            return style
    return OperatorStyle(operator.replace("_", " "), GREY, "-.", "P")


def operator_order(label: str) -> int:
    """Sorts the labels of operators: the usual ones first."""
    labels = [style.label for style in _OPERATORS.values()]
    return labels.index(label) if label in labels else len(labels)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, without any global state."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    return figure


def set_title(figure: Figure, title: str, subtitle: str, *, left: float = 0.0) -> None:
    """Write what the figure found, and below it what it shows, over the whole figure.

    Args:
        figure: whose layout leaves at least 0.75 inches at the top.
        title: the finding, one line, in smaller letters if the figure is too narrow for it.
        subtitle: what is drawn, one line or two.
        left: where the text starts, as a fraction of the width.
    """
    height = figure.get_size_inches()[1]
    text = figure.text(left, 1 - 0.08 / height, title, fontsize=12, fontweight="bold", va="top")
    # A name that it quotes may be wide: smaller letters keep it on the page.
    room = figure.bbox.width * (0.995 - left)
    text.set_fontsize(12 * min(1.0, room / text.get_window_extent().width))
    figure.text(left, 1 - 0.34 / height, subtitle, fontsize=9, color="#555555", va="top")


def legend_below_title(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], *, left: float = 0.0
) -> None:
    """Write a legend in one line below title and subtitle, where no data are.

    Args:
        figure: whose layout leaves at least 0.8 inches at the top, and whose subtitle has one line.
        handles: what the labels explain.
        labels: one per handle.
        left: as for `set_title`.
    """
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles, labels=labels, loc="upper left",
        bbox_to_anchor=(left, 1 - 0.58 / height), ncols=len(labels), borderaxespad=0.0,
        borderpad=0.0, columnspacing=1.4, handlelength=1.4,
    )  # fmt: skip


def cut(name: str, most: int) -> str:
    """Cut the middle out of a name that is too long to draw."""
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def letter(axes: Axes, mark: str, title: str) -> None:
    """Give a panel its letter and its title."""
    axes.set_title(f"{mark}\N{EM SPACE}{title}")


def svg_text(figure: Figure) -> str:
    """A figure as SVG; equal figures give equal text."""
    with mpl.rc_context(STYLE):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a figure as `name.png` and `name.svg`, each complete or not at all.

    Args:
        figure: the figure.
        folder: made if it is missing.
        name: of the files, without an ending.

    Returns:
        The two files.

    Raises:
        RunError: the folder cannot be written.
    """
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write figures to {folder}: {error.strerror or error}") from error
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    atomic_write_bytes(png, buffer.getvalue())
    atomic_write_bytes(svg, svg_text(figure).encode())
    return png, svg
