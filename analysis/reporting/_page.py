"""HTML for a report that is one file and needs no network."""

import base64
import gzip
from collections.abc import Sequence
from html import escape
from importlib import resources

from analysis.reporting._drawing import Drawing

_FAILED = """<p class="note" id="failed" hidden>This browser is too old to draw the figures: it
takes one of 2023 or later. All tables are here.</p>"""
_LICENCE = "plotly.js, MIT licence, copyright Plotly, Inc.: https://github.com/plotly/plotly.js"


def page(title: str, body: Sequence[str]) -> str:
    """A whole HTML page.

    Args:
        title: plain text.
        body: pieces of HTML.
    """
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(title)}</title>",
            f"<style>{_asset('page.css')}</style>",
            "</head>",
            "<body>",
            *body,
            _FAILED,
            # As text, not as a script: a seventh of the page that plotly would be unpacked.
            f"<!-- {_LICENCE} -->",
            f'<script type="text/plain" id="library">{_library()}</script>',
            f"<script>{_asset('page.js')}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _asset(name: str) -> str:
    return resources.files("analysis.reporting").joinpath(name).read_text(encoding="utf-8")


def _library() -> str:
    """Plotly, packed; equal versions give equal text."""
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - not needed before

    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode()


def heading(level: int, text: str, identifier: str = "") -> str:
    """A heading; those with an identifier can be linked to."""
    mark = f' id="{escape(identifier)}"' if identifier else ""
    return f"<h{level}{mark}>{escape(text)}</h{level}>"


def note(text: str) -> str:
    """A paragraph in small letters."""
    return f'<p class="note">{escape(text)}</p>'


def figure(drawing: Drawing) -> str:
    """A place for a figure, and what will be drawn there."""
    kind = "drawing narrow" if drawing.narrow else "drawing"
    label = escape(drawing.title)
    return (
        f'<figure class="{kind}" id="{escape(drawing.name)}"><h4>{label}</h4>'
        f'<div class="plot" role="img" aria-label="{label}" '
        f'style="height:{drawing.height}px"></div>'
        f"<figcaption>{escape(drawing.note)}</figcaption>"
        f'<script type="application/json">{drawing.document}</script></figure>'
    )


def figures(drawings: Sequence[Drawing | None]) -> list[str]:
    """Figures, the narrow ones side by side where there is room; None stands for none."""
    return ['<div class="figures">', *(figure(one) for one in drawings if one), "</div>"]


def table(
    columns: Sequence[tuple[str, str]],
    rows: Sequence[Sequence[str]],
    *,
    marked: Sequence[int] = (),
    headless: bool = False,
) -> str:
    """An HTML table of plain texts.

    Args:
        columns: name and kind of each; the kind is `text`, `number`, `code` or `name`.
        rows: the cells, as many as columns.
        marked: places of rows that are printed in bold.
        headless: leave the names of the columns away.
    """
    head = "".join(f'<th scope="col" class="{kind}">{escape(name)}</th>' for name, kind in columns)
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(
            f'<th scope="row">{escape(cell)}</th>'
            if kind == "name"
            else f'<td class="{kind}">{escape(cell)}</td>'
            for (_, kind), cell in zip(columns, row, strict=True)
        )
        mark = ' class="marked"' if number in marked else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    body = "\n".join(lines)
    top = "" if headless else f"<thead><tr>{head}</tr></thead>\n"
    return f'<div class="wide"><table>{top}<tbody>{body}</tbody></table></div>'


def folded(summary: str, content: Sequence[str]) -> list[str]:
    """Content that is shown when it is asked for."""
    return [f"<details><summary>{escape(summary)}</summary>", *content, "</details>"]
