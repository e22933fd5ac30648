"""Configurations of about a wanted size: random ones, and the neighbours of one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Widths = tuple[int, ...]
"""For each entry the place of its width among the bit choices."""

TOLERANCE = 0.01
"""How far a size may be off, as a share of the range of sizes: two within it differ by < 2 %."""
_TRIES = 40


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of configurations, as shares: 0 with the least widths everywhere, 1 with the widest.

    Attributes:
        table: what an entry adds at each width, float64 (entries, bits); rising in each row.
    """

    table: NDArray[np.float64]

    @classmethod
    def of(cls, costs: NDArray[np.float64]) -> "Sizes":
        """Make it of what entries cost at each width, (entries, bits), whatever the unit."""
        above = costs - costs[:, :1]
        return cls(above / above[:, -1].sum())

    def share(self, widths: Widths) -> float:
        """Return the size of a configuration."""
        return float(self.table[np.arange(len(widths)), list(widths)].sum())


def near_size(sizes: Sizes, share: float, generator: np.random.Generator) -> Widths | None:
    """Draw a configuration whose size is within the tolerance of a share.

    A uniformly random one is changed, one random entry at a time, as long as that brings it
    nearer.

    Args:
        sizes: of the network.
        share: the wanted size.
        generator: draws.

    Returns:
        The configuration; `None` where none was found.
    """
    entries, bits = sizes.table.shape
    for _ in range(_TRIES):
        widths: NDArray[np.int64] = generator.integers(0, bits, size=(entries,))
        off = sizes.share(tuple(widths.tolist())) - share
        for _ in range(20 * entries):
            if abs(off) <= TOLERANCE:
                return tuple(widths.tolist())
            entry, width = int(generator.integers(entries)), int(generator.integers(bits))
            changed = off + float(sizes.table[entry, width] - sizes.table[entry, widths[entry]])
            if abs(changed) < abs(off):
                widths[entry], off = width, changed
    return None


def neighbour(
    sizes: Sizes, widths: Widths, swaps: int, generator: np.random.Generator
) -> Widths | None:
    """Draw a neighbour: some entries one step wider, as many others one step narrower.

    Args:
        sizes: of the network.
        widths: the configuration.
        swaps: how many pairs.
        generator: draws.

    Returns:
        A configuration whose size is within the tolerance of the other's; `None` where none was
        found.
    """
    place = np.array(widths)
    up = np.flatnonzero(place < sizes.table.shape[1] - 1)
    down = np.flatnonzero(place > 0)
    if len(up) < swaps or len(down) < swaps:
        return None
    before = sizes.share(widths)
    for _ in range(_TRIES):
        wider = generator.choice(up, swaps, replace=False)
        left = np.setdiff1d(down, wider)
        if len(left) < swaps:
            continue
        narrower = generator.choice(left, swaps, replace=False)
        changed = place.copy()
        changed[wider] += 1
        changed[narrower] -= 1
        found: Widths = tuple(changed.tolist())
        if abs(sizes.share(found) - before) <= TOLERANCE:
            return found
    return None
