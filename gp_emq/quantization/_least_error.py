"""Scales of least squared error, over all scales that there are.

Rounding x to the nearest of the values s·q, q an integer of low to high, has the squared error
E(s) = min over q of |x - s q|². For given integers it is |x|² - (x·q)² / |q|², at s = x·q / |q|².
As s falls the integers move away from zero one at a time, at the breakpoints |x_i| / (j + ½), so
that going through the sorted breakpoints with x·q and |q|² as running sums meets the least error
of all. Long rows have too many breakpoints for that, and are narrowed down first.

A grid with a zero point z is the same with integers of -z to 2^b - 1 - z, for every z.
"""

import numpy as np

from gp_emq.quantization._best_grids import BestGrids, Floats, Integers, gains_of, nothing_yet
from gp_emq.quantization._narrowing import by_narrowing

BREAKPOINTS = 1 << 13
"""Rows with at most so many breakpoints go through all of them."""
_CHUNK = 1 << 20


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
    counts = np.ones_like(scaled) if counts is None else counts
    lows = np.array([-levels // 2]) if symmetric else -np.arange(levels)
    scale, low = np.zeros(count), np.zeros(count, dtype=np.int64)
    alive = np.flatnonzero((largest > 0) & ((counts > 0) & (rows != 0)).any(axis=1))
    few = elements * (levels // 2 if symmetric else levels - 1) <= BREAKPOINTS
    for part in np.array_split(alive, max(1, -(-len(alive) * elements * levels // _CHUNK))):
        if len(part) == 0:
            continue
        search = _by_breakpoints if few else by_narrowing
        best = search(scaled[part], counts[part], bits, lows)
        settled = _settled(scaled[part], counts[part], best, bits)
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


def _by_breakpoints(rows: Floats, counts: Floats, bits: int, lows: Integers) -> BestGrids:
    """Go through all breakpoints of each row."""
    levels, size = 1 << bits, np.abs(rows)
    most = int(max(-lows.min(), levels - 1 + lows.max()))
    halves = np.arange(most) + 0.5
    points = (size[:, :, None] / halves).reshape(len(rows), -1)
    order = np.argsort(-points, axis=1, kind="stable")
    total = (counts * rows**2).sum(1)
    products = np.take_along_axis(np.repeat(counts * size, most, axis=1), order, 1)
    steps = (2 * counts[:, :, None] * halves).reshape(len(rows), -1)
    squares = np.take_along_axis(steps, order, 1)
    negative = np.take_along_axis(np.repeat(rows < 0, most, axis=1), order, 1)
    place = order % most
    best, every = nothing_yet(rows, counts, lows), np.arange(len(rows))
    for low in lows:
        reached = place < np.where(negative, -low, levels - 1 + low)
        along = np.cumsum(products * reached, axis=1)
        norms = np.cumsum(squares * reached, axis=1)
        gains = gains_of(along, norms)
        chosen = gains.argmax(axis=1)
        norm = norms[every, chosen]
        some = norm > 0
        found = along[every, chosen][some] / norm[some]
        error = total[some] - gains[every, chosen][some]
        best = best.offer(every[some], error, found, np.full(len(found), low))
    return best
