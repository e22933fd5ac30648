"""Tables as text for a terminal: columns under their heads."""

import shutil
import textwrap
from collections.abc import Sequence

NARROWEST = 20
"""Columns that nothing is fitted below."""


def format_columns(
    head: Sequence[str], body: Sequence[Sequence[str]], totals: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Set rows in columns, the first to the left and the others to the right.

    Args:
        head: What the columns are.
        body: One sequence of cells per row.
        totals: Further rows, below a rule.

    Returns:
        The lines, without line ends.
    """
    sizes = [max(map(len, column)) for column in zip(head, *body, *totals, strict=True)]
    rule = "-" * (sum(sizes) + 2 * (len(sizes) - 1))

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(sizes[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:], sizes[1:], strict=True)]
        return "  ".join(cells).rstrip()

    lines = [line(head), rule, *map(line, body)]
    return [*lines, rule, *map(line, totals)] if totals else lines


def terminal_width() -> int | None:
    """Give how many columns lines may have: ``COLUMNS`` if set, else those of the terminal.

    Returns:
        The columns; None where standard output is a file or a pipe and ``COLUMNS`` is not set.
    """
    return shutil.get_terminal_size(fallback=(0, 0)).columns or None


def wrapped(text: str, width: int | None) -> list[str]:
    """Break a line so that no part is wider than asked; further parts are indented."""
    if width is None or len(text) <= width:
        return [text]
    kept = text.replace(" %", "\N{NO-BREAK SPACE}%")
    lines = textwrap.wrap(
        kept, max(width, NARROWEST), subsequent_indent="  ", break_on_hyphens=False
    )
    return [line.replace("\N{NO-BREAK SPACE}%", " %") for line in lines]
