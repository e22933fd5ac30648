"""HTML for a report that is one file and needs no network."""

import re
from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 66rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid #ddd; }
p.facts { color: #555; margin: 0; }
p.formula { font-family: ui-monospace, monospace; background: #f3f6f9; padding: .7rem 1rem;
            border-left: 4px solid #0072b2; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th { text-align: left; border-bottom: 2px solid #999; padding: .3rem .7rem; }
td { border-bottom: 1px solid #e4e4e4; padding: .3rem .7rem; vertical-align: top; }
th.number, td.number { text-align: right; white-space: nowrap; }
td.code { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
tr.first td { font-weight: 600; }
figure { margin: 1rem 0 2rem; }
figure svg { width: 100%; height: auto; }
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
"""


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
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        ]
    )


def table(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], *, mark_first: bool = False
) -> str:
    """An HTML table of plain texts.

    Args:
        columns: name and kind of each; the kind is `text`, `number` or `code`.
        rows: the cells, as many as columns.
        mark_first: print the first row in bold.
    """
    head = "".join(f'<th class="{kind}">{escape(name)}</th>' for name, kind in columns)
    lines = []
    for number, row in enumerate(rows):
        cells = "".join(
            f'<td class="{kind}">{escape(cell)}</td>'
            for (_, kind), cell in zip(columns, row, strict=True)
        )
        mark = ' class="first"' if mark_first and number == 0 else ""
        lines.append(f"<tr{mark}>{cells}</tr>")
    body = "\n".join(lines)
    head = f"<thead><tr>{head}</tr></thead>"
    return f'<div class="wide"><table>{head}\n<tbody>{body}</tbody></table></div>'


def inline_svg(svg: str, name: str, description: str) -> str:
    """A figure for a page that has several.

    Args:
        svg: a whole SVG file.
        name: told apart by it are the identifiers of the page's figures.
        description: for those who cannot see the figure.
    """
    drawing = svg[svg.index("<svg") :]
    # Two figures on one page must not share identifiers.
    drawing = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", drawing)
    label = f'<svg role="img" aria-label="{escape(description)}" '
    return f"<figure>{drawing.replace('<svg ', label, 1)}</figure>"
