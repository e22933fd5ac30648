"""How a search converges: its best formula so far, its population and its diversity."""

from collections.abc import Sequence

import numpy as np

from analysis.reporting import _drawing as look
from analysis.reporting._drawing import Drawing, Trace, axis, numbers
from analysis.reporting._source import RunSource


def draw_course(run: RunSource, name: str) -> Drawing:
    """Draw tau and diversity over the evaluations of a run."""
    course, x = run.search.course, numbers(run.search.course.evaluations)
    traces: list[Trace] = [
        _line(x, course.quartiles[0], "", look.SKY, width=0, hoverinfo="skip", showlegend=False),
        _line(
            x, course.quartiles[2], "population, middle half", look.SKY, width=0, fill="tonexty",
            fillcolor=look.band(look.SKY, 0.25), hoverinfo="skip",
        ),
        _line(x, course.quartiles[1], "population, median", look.SKY, dash="dot"),
    ]  # fmt: skip
    if run.random is not None:
        other = run.random.course
        traces.append(
            _line(numbers(other.evaluations), other.training, "random search, best so far",
                  look.GREY, dash="dash", shape="hv", legendrank=3)
        )  # fmt: skip
    if np.isfinite(course.validation).any():
        traces.append(
            _line(
                x,
                course.validation,
                "the same formula, validation",
                look.VERMILION,
                shape="hv",
                legendrank=2,
            )
        )
    traces += [
        _line(x, course.training, "best so far, training", look.BLUE, width=3, shape="hv",
              legendrank=1),
        {
            **_line(x, [row.diversity for row in run.search.generations], "diversity", look.GREEN),
            "legendrank": 2000, "yaxis": "y2", "fill": "tozeroy",
            "fillcolor": look.band(look.GREEN, 0.15),
        },
    ]  # fmt: skip
    best, evaluations = float(course.training[-1]), int(course.evaluations[-1])
    title = f"The highest training τ so far is {best:.3f}, after {evaluations:,} evaluations"
    note = (
        f"The formula of the highest {run.fitness} on the training configurations so far. Diversity"
        " is 1 − mean |rank correlation| between the scores of the population."
    )
    if run.summary is not None:
        note += " The formula that is recommended in the end is chosen by validation, not by this."
    # A poor first population must not press everything else together.
    settled = course.quartiles[1, len(x) // 20 :]
    low = float(np.nanmin(np.concatenate([settled, course.validation, course.training])))
    high = float(np.nanmax(np.concatenate([course.validation, course.training])))
    room = max(high - low, 0.02)
    layout = {
        "xaxis": axis("fitness evaluations", anchor="y2", rangemode="tozero"),
        "yaxis": axis("Kendall τ", domain=[0.34, 1], range=[low - 0.1 * room, high + 0.08 * room]),
        "yaxis2": axis("diversity", domain=[0, 0.24], rangemode="tozero", nticks=4),
        "hovermode": "x unified",
        "legend": {"traceorder": "normal"},  # plotly turns it round where areas are filled
    }
    return Drawing(name, title, note, traces, layout, height=520, tall=560)


def draw_courses(runs: Sequence[RunSource], name: str) -> Drawing:
    """Draw the best formula so far and the diversity of several runs."""
    traces: list[Trace] = []
    for place, run in enumerate(runs):
        colour, dash = colour_of(place), dash_of(place)
        x = numbers(run.search.course.evaluations)
        group = {"legendgroup": str(place)}
        traces += [
            {
                **_line(x, run.search.course.training, look.plain(run.label), colour, dash=dash,
                        shape="hv"),
                **group,
            },
            {
                **_line(x, [row.diversity for row in run.search.generations],
                        f"{look.plain(run.label)}, diversity", colour, dash=dash),
                **group, "yaxis": "y2", "showlegend": False,
            },
        ]  # fmt: skip
    layout = {
        "xaxis": axis("fitness evaluations", anchor="y2", rangemode="tozero"),
        "yaxis": axis("training τ, best so far", domain=[0.36, 1]),
        "yaxis2": axis("diversity", domain=[0, 0.28], rangemode="tozero", nticks=4),
    }
    best = max(runs, key=lambda run: float(run.search.course.training[-1]))
    title = f"{best.label} comes to the highest training τ, {best.search.course.training[-1]:.3f}"
    note = (
        "The highest fitness on the training configurations so far, and how much the scores of the "
        "population differ. Runs on different benches cannot be compared by it."
    )
    return Drawing(name, title, note, traces, layout, height=540, tall=540 + 22 * len(runs))


def colour_of(place: int) -> str:
    """The colour of a run among several."""
    return look.COLOURS[place % len(look.COLOURS)]


def dash_of(place: int) -> str:
    """The line of a run among more than there are colours."""
    return look.DASHES[place // len(look.COLOURS) % len(look.DASHES)]


def _line(
    x: object, y: object, name: str, colour: str, *, width: float = 2, dash: str = "solid",
    shape: str = "linear", **more: object,
) -> Trace:  # fmt: skip
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": numbers(y),  # type: ignore[arg-type]
        "line": {"color": colour, "width": width, "dash": dash, "shape": shape},
        "hovertemplate": "%{y:.3f}", **more,
    }  # fmt: skip
