"""Tables of rankings, laid out for a terminal, a file or a Markdown page."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gp_emq.columns import NARROWEST

_BETWEEN = 2
_SHORTEST_NAME = 8


@dataclass(frozen=True)
class Cells:
    """A table before it is laid out.

    Args:
        header: What the columns are.
        rows: The cells, one sequence per row.
        fixed: How many columns, from the first on, are always shown; the last names the row.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    fixed: int

    def only(self, columns: Sequence[int]) -> "Cells":
        """Leave all columns but some out."""
        rows = [[row[column] for column in columns] for row in self.rows]
        return Cells([self.header[column] for column in columns], rows, self.fixed)


def as_markdown(cells: Cells) -> list[str]:
    """Write a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (cells.header, *cells.rows)]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    rule = "|" + "|".join("---" for _ in cells.header) + "|"
    return [lines[0], rule, *lines[1:]]


def as_text(cells: Cells) -> list[str]:
    """Write aligned columns, as wide as they are."""
    return _aligned([cells.header], cells.rows)


def fitted(cells: Cells, width: int | None, order: Sequence[int]) -> tuple[list[str], int]:
    """Write aligned columns that are no wider than asked, without those that matter less.

    Args:
        cells: The table.
        width: Columns of the terminal; None for any.
        order: Columns beside the fixed ones, what matters most first.

    Returns:
        The lines, and how many columns were left out.
    """
    if width is None or _total(cells.header, cells.rows) <= width:
        return as_text(cells), 0
    first = order[:1]
    cells = _with_short_names(cells, width, first)
    sizes, heads = _wrapped_heads(cells)
    chosen = [*range(cells.fixed), *first]
    room = width - _sum(sizes[column] for column in chosen)
    for column in order[1:]:
        if sizes[column] + _BETWEEN <= room:
            room -= sizes[column] + _BETWEEN
            chosen.append(column)
    chosen.sort()
    shown = cells.only(chosen)
    lines = _aligned(_stacked([heads[column] for column in chosen]), shown.rows)
    return lines, len(cells.header) - len(chosen)


def in_blocks(cells: Cells, width: int | None, once: int = 0) -> list[list[str]]:
    """Write aligned columns no wider than asked, in as many blocks as that takes.

    Args:
        cells: The table; its fixed columns are repeated in each block.
        width: Columns of the terminal; None for any.
        once: How many of the columns after the fixed ones must share the first block.

    Returns:
        The lines of each block.
    """
    if width is None or _total(cells.header, cells.rows) <= width:
        return [as_text(cells)]
    fixed = list(range(cells.fixed))
    others = list(range(cells.fixed, len(cells.header)))
    cells = _with_short_names(cells, width, others[: once + 1])
    sizes, heads = _wrapped_heads(cells)
    blocks = [fixed + others[: once + 1]]
    for column in others[once + 1 :]:
        if _sum(sizes[one] for one in (*blocks[-1], column)) > width:
            blocks.append(list(fixed))
        blocks[-1].append(column)
    return [
        _aligned(_stacked([heads[column] for column in block]), cells.only(block).rows)
        for block in blocks
    ]


def _with_short_names(cells: Cells, width: int, beside: Sequence[int]) -> Cells:
    """Cut the middle out of names that leave no room for the columns that must stand beside."""
    sizes, _ = _wrapped_heads(cells)
    place = cells.fixed - 1
    others = [sizes[column] for column in (*range(place), *beside)]
    most = max(_SHORTEST_NAME, max(width, NARROWEST) - _BETWEEN - _sum(others))
    if sizes[place] <= most:
        return cells
    rows = [[*row[:place], _cut(row[place], most), *row[place + 1 :]] for row in cells.rows]
    return Cells(cells.header, rows, cells.fixed)


def _cut(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def _wrapped_heads(cells: Cells) -> tuple[list[int], list[list[str]]]:
    """Give each column's width, and its head in lines no wider than its cells where it can be."""
    sizes, heads = [], []
    for place, head in enumerate(cells.header):
        body = max((len(row[place]) for row in cells.rows), default=0)
        longest = max(map(len, head.replace("-", "- ").split()), default=0)
        lines = textwrap.wrap(head, max(body, longest, 1)) or [""]
        heads.append(lines)
        sizes.append(max(body, *map(len, lines)))
    return sizes, heads


def _stacked(heads: Sequence[Sequence[str]]) -> list[list[str]]:
    """Give the lines of heads, which end in the same line."""
    most = max(map(len, heads))
    padded = [[""] * (most - len(head)) + list(head) for head in heads]
    return [list(line) for line in zip(*padded, strict=True)]


def _aligned(heads: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = (*heads, *rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        (" " * _BETWEEN)
        .join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        .rstrip()
        for row in lines
    ]


def _total(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return _sum(max(map(len, column)) for column in zip(header, *rows, strict=True))


def _sum(sizes: Iterable[int]) -> int:
    listed = list(sizes)
    return sum(listed) + _BETWEEN * max(0, len(listed) - 1)
