"""Tables as text for a terminal: columns under their heads."""

from collections.abc import Sequence


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
