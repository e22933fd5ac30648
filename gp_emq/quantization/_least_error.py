"""Scales of least squared error, over all scales that there are.

Rounding x to the nearest of the values s·q, q an integer of low to high, has the squared error
E(s) = min over q of |x - s q|². For given integers it is |x|² - (x·q)² / |q|², at s = x·q / |q|².
As s falls the integers move away from zero one at a time, at the breakpoints |x_i| / (j + ½), so
that going through the sorted breakpoints with x·q and |q|² as running sums meets the least error
of all. Long rows have too many breakpoints for that, and are narrowed down first.

A grid with a zero point z is the same with integers of -z to 2^b - 1 - z, for every z.
"""

import numpy as np

from gp_emq.quantization._best_grids import BestGrids, Floats, Integers
from gp_emq.quantization._bounded_search import BoundedSearch
from gp_emq.quantization._narrowing import by_narrowing, offsets_of

LONG = 1 << 13
"""Rows of more elements are sorted."""
_CHUNK = 1 << 18


def least_error_grids(
    rows: Floats, bits: int, *, symmetric: bool, counts: Floats | None = None
) -> tuple[Floats, Integers]:
    """Return the grid of least squared error of each row.

    Exact, but for zero points at more than 5 bits and rows of many elements, of which those that
    look best on many scales are followed.

    Args:
        rows: (rows, elements), finite.
        bits: 2 to 8.
        symmetric: Integers of -2^(b-1) to 2^(b-1) - 1, else those with every zero point of 0 to
            2^b - 1.
        counts: How often each element counts, (rows, elements); once by default.

    Returns:
        Scale (rows,), 0 for rows of zeros, and zero point (rows,), 0 where symmetric.
    """
    count, elements = rows.shape
    levels = 1 << bits
    # Powers of two change no digit, and keep squares away from the ends of float64's range.
    largest = np.abs(rows).max(axis=1)
    exponent = np.where(largest > 0, np.frexp(largest)[1], 0)
    scaled = np.ldexp(rows, -exponent[:, None])
    weights = np.ones_like(scaled) if counts is None else counts
    lows = np.array([-levels // 2]) if symmetric else -np.arange(levels)
    scale, low = np.zeros(count), np.zeros(count, dtype=np.int64)
    alive = np.flatnonzero((largest > 0) & ((weights > 0) & (rows != 0)).any(axis=1))
    tried = levels if elements > LONG else len(lows)
    for part in np.array_split(alive, max(1, -(-len(alive) * elements * tried // _CHUNK))):
        if len(part) == 0:
            continue
        if elements > LONG:
            best = by_narrowing(scaled[part], weights[part], bits, lows)
        else:
            offsets = offsets_of(scaled[part], weights[part], bits, lows)
            best = BoundedSearch(
                scaled[part], None if counts is None else counts[part], bits, offsets
            ).best()
        settled = _settled(scaled[part], weights[part], best, bits)
        scale[part] = np.ldexp(settled, exponent[part])
        low[part] = best.low
    return scale, (np.zeros(count, dtype=np.int64) if symmetric else -low)


def _settled(rows: Floats, counts: Floats, best: BestGrids, bits: int) -> Floats:
    """Return the scales that the integers at the best scales want.

    Running sums have last digits of the rows before them; these are of each row alone.
    """
    low = best.low[:, None]
    q = np.clip(np.rint(rows / best.scale[:, None]), low, low + (1 << bits) - 1)
    along, norms = (counts * rows * q).sum(1), (counts * q**2).sum(1)
    scale = best.scale.copy()
    np.divide(along, norms, out=scale, where=norms > 0)
    return scale
