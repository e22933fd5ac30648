"""Figures of an allocation: the bits of every layer, and score against cost."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import _style as style
from gp_emq.allocation import (
    FLOAT_BITS,
    CostSettings,
    Plan,
    Problem,
    Sweep,
    axis_costs,
    draw_within,
    uniform_configuration,
)

_COLOURS = {
    2: style.ORANGE,
    3: style.SKY_BLUE,
    4: style.BLUE,
    5: style.GREEN,
    6: style.PURPLE,
    7: style.VERMILION,
    8: style.BLACK,
    FLOAT_BITS: style.PALE,
}
_TITLES = {"size": "size, MiB", "average-bits": "average bits", "bops": "bit operations, G"}
_DRAWN = 300
_BASELINES = {"hawq_v2": "s", "fit": "^", "ompq": "D"}


def make_allocation_figures(
    plan: Plan | None,
    sweep: Sweep | None,
    problem: Problem,
    settings: CostSettings,
    out: Path,
    *,
    network: str,
) -> list[Path]:
    """Draw and write what there is: bits by layer of a plan, the Pareto front of a sweep.

    Args:
        plan: The plan, or None.
        sweep: The sweep, or None.
        problem: What both were found in.
        settings: How costs are counted.
        out: What the paths of the files start with.
        network: What the network is called.

    Returns:
        The files, PNG and SVG of each figure.

    Raises:
        RunError: The folder cannot be written.
    """
    paths: list[Path] = []
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(style.STYLE)
        if plan is not None:
            paths += style.save(plot_plan(plan, network), out.parent, f"{out.name}-bits")
        if sweep is not None:
            figure = plot_front(sweep, plan, problem, settings, network)
            paths += style.save(figure, out.parent, f"{out.name}-pareto")
    return paths


def plot_plan(plan: Plan, network: str) -> Figure:
    """Draw the width of every layer, and how many parameters it has.

    Args:
        plan: The plan.
        network: What the network is called.
    """
    count = len(plan.layers)
    names = [planned.name for planned in plan.layers]
    labels = 0.072 * max(map(len, names)) * (1.0 if count <= 40 else 0.6) + 0.15
    height = 3.4 + labels
    width = min(14.0, max(8.0, 0.22 * count))
    figure = style.new_figure(width, height)
    left, across = 0.75 / width, 1 - 0.95 / width
    bars = figure.add_axes((left, (labels + 1.15) / height, across, 1.35 / height))
    sizes = figure.add_axes((left, labels / height, across, 0.95 / height), sharex=bars)
    places = np.arange(count)
    widths = [planned.bits for planned in plan.layers]
    most = max((value for value in widths if value != FLOAT_BITS), default=0)
    colours = [_COLOURS[value] for value in widths]
    drawn = [most if value == FLOAT_BITS else value for value in widths]
    bars.bar(places, drawn, color=colours, width=0.74)
    if count <= 60:
        for place, (value, top) in enumerate(zip(widths, drawn, strict=True)):
            bars.annotate(
                "float" if value == FLOAT_BITS else str(value), (place, top), (0, 2),
                textcoords="offset points", ha="center", va="bottom", fontsize=8,
                fontweight="bold", rotation=90 if value == FLOAT_BITS else 0,
            )  # fmt: skip
    bars.set_ylim(0, most * 1.18)
    bars.set_yticks([0, *sorted({value for value in widths if value != FLOAT_BITS})])
    bars.set_ylabel("bits")
    bars.tick_params(axis="x", length=0, labelbottom=False)
    bars.grid(visible=False, axis="x")
    sizes.bar(places, [planned.layer.parameters for planned in plan.layers], color=colours,
              width=0.74)  # fmt: skip
    sizes.set_yscale("log")
    sizes.set_ylabel("parameters")
    sizes.grid(visible=False, axis="x")
    sizes.set_xlim(-0.7, count - 0.3)
    sizes.set_xticks(places, names, rotation=90, fontsize=8 if count <= 40 else 5.0)
    sizes.tick_params(axis="x", length=0)
    used = sorted(set(widths))
    figure.legend(
        handles=[
            Patch(color=_COLOURS[value], label="float" if value == FLOAT_BITS else f"{value} bits")
            for value in used
        ],
        loc="upper right", bbox_to_anchor=(left + across, 1 - 0.55 / height), ncols=len(used),
        borderaxespad=0.0,
    )  # fmt: skip
    style.set_title(figure, _finding(plan, network), _method(plan), left=left)
    return figure


def plot_front(
    sweep: Sweep, plan: Plan | None, problem: Problem, settings: CostSettings, network: str
) -> Figure:
    """Draw score against cost: the front, random and uniform configurations, and the plan.

    Scores are shown from 0, the cheapest configuration's, to 1, the best there is.

    Args:
        sweep: The front.
        plan: A plan to mark with its baselines, or None.
        problem: Gives scores and what may be chosen.
        settings: How costs are counted.
        network: What the network is called.
    """
    costs = axis_costs(problem.space, settings, sweep.axis)
    free = problem.with_budgets([])
    low, high = sweep.points[0].score, sweep.points[-1].score
    span = (high - low) or 1.0

    def place(configuration: tuple[int, ...]) -> tuple[float, float]:
        cost = sum(costs[entry, width] for entry, width in enumerate(configuration))
        return cost, (problem.score(configuration) - low) / span

    figure = style.new_figure(8.0, 5.0)
    axes = figure.add_axes((0.09, 0.11, 0.88, 0.745))
    cloud = np.array([place(item) for item in draw_within(free, _DRAWN, 0)])
    axes.scatter(cloud[:, 0], cloud[:, 1], s=7, color=style.GREY, alpha=0.45, linewidths=0,
                 label=f"{_DRAWN} random configurations")  # fmt: skip
    front = np.array([(point.cost, (point.score - low) / span) for point in sweep.points])
    axes.plot(*front.T, color=style.BLUE, marker="o", markersize=4,
              drawstyle="steps-post", label="best at each cost")  # fmt: skip
    bits = problem.space.bits
    uniform = [place(uniform_configuration(problem, width)) for width in bits]
    across, up = [cost for cost, _ in uniform], [score for _, score in uniform]
    axes.scatter(across, up, color=style.ORANGE, zorder=3, marker="s", label="uniform")
    for width, at in zip(bits, uniform, strict=True):
        axes.annotate(f"{width} bits", at, (7, -4), textcoords="offset points", fontsize=8,
                      va="top", color=style.INK)  # fmt: skip
    for baseline in () if plan is None else plan.baselines:
        if baseline.name in _BASELINES and baseline.bits:
            entries = {
                planned.layer.entry: width
                for planned, width in zip(plan.layers if plan else (), baseline.bits, strict=True)
            }
            cost, score = place(tuple(entries[entry] for entry in sorted(entries)))
            axes.scatter(
                cost, score, s=30, marker=_BASELINES[baseline.name], facecolor="white",
                edgecolor=style.GREEN, zorder=3, label=f"{baseline.name}, same budget",
            )  # fmt: skip
    if plan is not None:
        cost, score = place(plan.configuration)
        axes.scatter(cost, score, s=150, marker="*", color=style.VERMILION,
                     zorder=4, label="the plan")  # fmt: skip
    low_shown = min(float(front[:, 1].min()), float(np.quantile(cloud[:, 1], 0.02)))
    axes.set_ylim(max(low_shown, -1.0) - 0.06, 1.06)
    axes.set_xlabel(_TITLES[sweep.axis])
    axes.set_ylabel("score of the proxy, 1 = best there is")
    axes.legend(loc="lower right", frameon=True, framealpha=0.92, edgecolor="none")
    style.set_title(
        figure,
        f"{network}: the best score at every cost",
        f"{len(sweep.points)} optima from the narrowest widths to the widest, without "
        "other budgets; random and uniform ones to compare",
        left=0.02,
    )
    return figure


def _finding(plan: Plan, network: str) -> str:
    counts = [
        f"{sum(planned.bits == width for planned in plan.layers)} at {width}"
        for width in sorted({planned.bits for planned in plan.layers} - {FLOAT_BITS})
    ]
    return f"{network}: {plan.measures.average_bits:.2f} bits on average ({', '.join(counts)})"


def _method(plan: Plan) -> str:
    budgets = ", ".join(
        f"{target.name} ≤ {target.limit:g}{' ' + target.unit if target.unit else ''}"
        for target in plan.targets
    )
    proxy = plan.provenance.get("proxy")
    return f"The highest score{f' of {proxy}' if proxy else ''} within {budgets}"
