"""Figures that plotly draws: what each is made of, and the look that all share."""

import html
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Trace = dict[str, Any]

# Okabe and Ito's palette, the light and the dark ends moved so that lines stand out from white
# and from black paper alike.
BLUE, ORANGE, GREEN, VERMILION = "#2f86c6", "#d98c00", "#0a9e74", "#dd5f10"
PURPLE, SKY, GREY = "#c66fa0", "#4fa9dc", "#8a8a8a"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY)
DASHES = ("solid", "dash", "dot", "dashdot")

_DIGITS = 5


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        name: told apart by it are the figures of a page.
        title: what the figure finds, one line.
        note: what is drawn.
        traces: as plotly takes them.
        layout: what differs from the layout that all share.
        height: in pixels, where there is room.
        tall: in pixels on a narrow screen, where the legend takes more lines.
        narrow: whether it is no wider than half a page.
    """

    name: str
    title: str
    note: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height: int = 400
    tall: int = 460
    narrow: bool = False

    @property
    def document(self) -> str:
        """The figure as JSON that may stand inside an element of a page."""
        content = {
            "data": list(self.traces),
            "layout": merged(_base(), self.layout),
            "height": self.height,
            "tall": self.tall,
        }
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis in the common look."""
    return {
        "title": {"text": title, "standoff": 10},
        "automargin": True,
        "gridcolor": "rgba(128,128,128,0.22)",
        "linecolor": "rgba(128,128,128,0.6)",
        "zeroline": False,
        "ticks": "",
        **more,
    }


def _base() -> dict[str, Any]:
    return {
        "autosize": True,
        "margin": {"l": 48, "r": 12, "t": 12, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#777777"},
        "xaxis": axis(),
        "yaxis": axis(),
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": "#777777",
            "font": {"color": "#1f1f1f", "size": 12},
            "align": "left",
            "namelength": -1,
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#999999", "activecolor": "#2f86c6"},
        "hovermode": "closest",
    }


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Put one tree of settings over another."""
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        both = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merged(known, value) if both and known else value
    return result


def numbers(values: ArrayLike) -> list[float | None]:
    """Numbers as JSON can hold them: five significant digits, and null for what is not finite."""
    return [
        float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
        for value in np.asarray(values, dtype=np.float64).ravel()
    ]


def wrapped(text: str, width: int = 46, most: int = 8) -> str:
    """A text in lines that fit a hover label of a telephone, as plotly takes it.

    Args:
        text: plain.
        width: letters of a line.
        most: lines; of a longer text the end is left out.
    """
    lines = textwrap.wrap(text, width) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1][: width - 1]}…"]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def plain(text: str, most: int = 60) -> str:
    """A name as plotly takes it, its middle cut out if it is long."""
    if len(text) > most:
        end = (most - 1) // 2
        text = f"{text[: most - 1 - end]}…{text[len(text) - end :]}"
    return html.escape(text, quote=False)


def band(colour: str, alpha: float) -> str:
    """A colour as a see-through filling."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"
