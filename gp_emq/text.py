"""Tables for a terminal."""

from collections.abc import Sequence


def aligned_columns(
    head: Sequence[str], body: Sequence[Sequence[str]], totals: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Write columns under their heads, the first to the left, the others to the right.

    Args:
        head: A name per column.
        body: The rows.
        totals: Rows below a second rule, if any.

    Returns:
        The lines.
    """
    sizes = [max(map(len, column)) for column in zip(head, *body, *totals, strict=True)]
    rule = "-" * (sum(sizes) + 2 * (len(sizes) - 1))

    def line(row: Sequence[str]) -> str:
        cells = [row[0].ljust(sizes[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:], sizes[1:], strict=True)]
        return "  ".join(cells).rstrip()

    lines = [line(head), rule, *map(line, body)]
    return [*lines, rule, *map(line, totals)] if totals else lines
