"""The bits that a table gives each entry when only so many bits may be spent."""

import numpy as np
from numpy.typing import NDArray


def best_bits(table: NDArray[np.float64], bits: tuple[int, ...], total: int) -> NDArray[np.int64]:
    """Choose one width per entry so that the score is highest, exactly.

    A dynamic program over the entries and the bits spent so far: O(entries · total · choices).

    Args:
        table: float64 (entries, choices), higher sums predict higher accuracy; widths that an
            entry may not take are not finite.
        bits: the widths of the table's columns.
        total: how many bits all entries may take together.

    Returns:
        int64 (entries,), the width of each entry; of equal scores the fewest bits.

    Raises:
        ValueError: the entries cannot do with so few bits.
    """
    allowed = np.where(np.isfinite(table), table, -np.inf)
    entries = len(allowed)
    reached = np.full((entries + 1, total + 1), -np.inf)
    reached[0, 0] = 0.0
    chosen = np.zeros((entries, total + 1), dtype=np.int64)
    for entry in range(entries):
        for column, width in enumerate(bits):
            candidate = np.full(total + 1, -np.inf)
            if width <= total:
                candidate[width:] = reached[entry, : total + 1 - width] + allowed[entry, column]
            better = candidate > reached[entry + 1]
            reached[entry + 1, better] = candidate[better]
            chosen[entry, better] = column
    spent = int(np.argmax(reached[entries]))
    if not np.isfinite(reached[entries, spent]):
        raise ValueError(f"{entries} entries cannot do with {total} bits in all")
    widths = np.empty(entries, dtype=np.int64)
    for entry in reversed(range(entries)):
        widths[entry] = bits[chosen[entry, spent]]
        spent -= int(widths[entry])
    return widths
