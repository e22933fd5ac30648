"""The figure of a search on a simulated cluster."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from analysis import _style as style
from benchmarks.simulated_search import Course

COLOURS = {"evaluating": style.BLUE, "lost work": style.VERMILION, "set-up": style.ORANGE,
           "waiting": style.PALE}  # fmt: skip


def draw(
    path: Path,
    ranked: dict[str, dict[int, float]],
    layouts: dict[str, Course],
    *,
    scenarios: dict[str, Course],
    populations: dict[int, Course],
    hours_of_work: float,
) -> None:
    """Draw hours by workers, by tasks and by generations, and where the workers' time goes.

    Args:
        path: Of the figure.
        ranked: Hours by number of workers, for each place where configurations are ranked.
        layouts: A search for each way to share work out.
        scenarios: One for each thing that goes wrong.
        populations: One for each number of formulas in a generation.
        hours_of_work: Those of one worker that never waits.
    """
    import matplotlib as mpl  # noqa: PLC0415

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(style.STYLE)
        figure = style.new_figure(10.0, 7.0)
        grid = figure.add_gridspec(
            2, 2, left=0.075, right=0.985, bottom=0.075, top=0.94, wspace=0.5, hspace=0.36
        )
        _by_workers(figure.add_subplot(grid[0, 0]), ranked, hours_of_work)
        _by_layout(figure.add_subplot(grid[0, 1]), layouts)
        _by_population(figure.add_subplot(grid[1, 0]), populations)
        _shares(figure.add_subplot(grid[1, 1]), scenarios)
        figure.savefig(path, dpi=130, metadata={"Software": None} if path.suffix == ".png" else {})


def _by_workers(axes: Axes, ranked: dict[str, dict[int, float]], hours_of_work: float) -> None:
    looks = ((style.VERMILION, "s"), (style.ORANGE, "D"), (style.GREEN, "^"), (style.BLUE, "o"))
    for (name, hours), (colour, marker) in zip(ranked.items(), looks, strict=True):
        axes.plot(list(hours), list(hours.values()), color=colour, marker=marker, ms=5, label=name)
    crews = list(next(iter(ranked.values())))
    ideal = [hours_of_work / workers for workers in crews]
    axes.plot(crews, ideal, color=style.GREY, ls=(0, (2, 2)), label="work / workers")
    _logarithmic(axes, crews)
    axes.set_xlabel("workers")
    axes.set_ylabel("hours of the whole search")
    axes.set_ylim(0.15, 60_000)
    axes.legend(loc="upper right", fontsize=8, borderaxespad=0.1)
    style.letter(axes, "a", "What one process does is the limit")


def _by_layout(axes: Axes, layouts: dict[str, Course]) -> None:
    names = list(layouts)[::-1]
    axes.barh(names, [layouts[name].hours for name in names], color=style.BLUE, height=0.62)
    for place, name in enumerate(names):
        course = layouts[name]
        text = f"{course.hours:.1f} h, {100 * course.messages:.0f} % of it messages"
        axes.annotate(text, (course.hours, place), (4, 0), textcoords="offset points", va="center",
                      fontsize=8)  # fmt: skip
    axes.set_xlim(0, 1.75 * max(course.hours for course in layouts.values()))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("hours of the whole search, 128 workers")
    style.letter(axes, "b", "Tasks of one network, large ones first")


def _by_population(axes: Axes, populations: dict[int, Course]) -> None:
    waiting = [course.shares["waiting"] for course in populations.values()]
    axes.plot(list(populations), waiting, color=style.GREEN, marker="o", ms=5)
    _logarithmic(axes, list(populations), both=False)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.set_xlabel("formulas of a generation, 128 workers")
    axes.set_ylabel("workers' time spent waiting")
    style.letter(axes, "c", "Small generations idle the cluster")


def _shares(axes: Axes, scenarios: dict[str, Course]) -> None:
    names = list(scenarios)[::-1]
    left = [0.0] * len(names)
    for part, colour in COLOURS.items():
        widths = [scenarios[name].shares[part] for name in names]
        axes.barh(names, widths, left=left, color=colour, height=0.62, label=part)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, name in enumerate(names):
        axes.annotate(
            f"{scenarios[name].hours:.1f} h", (1, place), (4, 0), textcoords="offset points",
            va="center", fontsize=8, annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(0, 1.14)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.42, -0.1), ncols=4, columnspacing=1.2,
                handlelength=1.2)  # fmt: skip
    style.letter(axes, "d", "Where the workers' time goes")


def _logarithmic(axes: Axes, ticks: Sequence[int], *, both: bool = True) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if both:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
