"""Narrowing down where the scale of least squared error can be, from sorted rows.

What `least_between` leaves of the scales has few breakpoints, which are gone through.
"""

import numpy as np
from numpy.typing import NDArray

from gp_emq.quantization._best_grids import BestGrids, Floats, Integers, gains_of, nothing_yet
from gp_emq.quantization._error_bounds import least_between, scale_ends
from gp_emq.quantization._row_sums import Problems, RowSums

POINTS = 64
"""Scales at which the error is computed in one round."""
ROUNDS = 12
CERTAIN_BITS = 5
"""Up to this width all zero points are tried; above it those that look best."""
OFFSET_ROUNDS = 3
KEPT_OFFSETS = 2
"""Of those, how many are followed to the end; more in rows of few elements."""
FEW_ELEMENTS = 1 << 11
MOST_BREAKPOINTS = 1 << 22
"""Of one row after the last round; where more are left, what the rounds have found is taken."""
_CHUNK = 1 << 20
_EXACT = 1e-13
"""Of |x|²: what rounding may leave of an error of zero."""


def by_narrowing(rows: Floats, counts: Floats, bits: int, lows: Integers) -> BestGrids:
    """Narrow down where the least error can be, then go through the breakpoints there."""
    sums = RowSums(rows, counts)
    best = nothing_yet(rows, counts, lows)
    least, most = scale_ends(rows, counts, (1 << bits) - 1)
    offsets = offsets_of(rows, counts, bits, lows)
    row, low = np.repeat(np.arange(len(rows)), offsets.shape[1]), offsets.ravel()
    problems = Problems(row, low, low + (1 << bits) - 1)
    least, most = least[row], most[row]
    for done in range(1, ROUNDS + 1):
        search = _Round(sums, problems, least, most)
        best = search.offered(best)
        chosen = search.open_intervals(best)
        finished = search.finished(chosen, MOST_BREAKPOINTS if done == ROUNDS else None)
        best = search.through(chosen & finished[:, None], best)
        goes_on = chosen.any(1) & ~finished
        if not goes_on.any():
            break
        least, most = search.hull(chosen, goes_on)
        problems = problems.take(goes_on)
    return best


def offsets_of(rows: Floats, counts: Floats, bits: int, lows: Integers) -> Integers:
    """Return the smallest integers of the grids to try, (rows, k)."""
    if bits <= CERTAIN_BITS or len(lows) == 1:
        return np.tile(lows, (len(rows), 1))
    ends = scale_ends(rows, counts, (1 << bits) - 1)
    return _leading_offsets(RowSums(rows, counts), *ends, bits)


def _leading_offsets(sums: RowSums, least: Floats, most: Floats, bits: int) -> Integers:
    """Return the smallest integers of the grids of least error on some scales, (rows, k).

    The scales are taken around the best, ever nearer. The grids of all zero points have their
    cuts in common, so that they cost no more than two.
    """
    levels, row = 1 << bits, np.arange(len(least))
    union = Problems(row, np.full(len(row), 1 - levels), np.full(len(row), levels - 1))
    halves = np.arange(1 - levels, levels - 1) + 0.5
    highs = levels - 1 - np.arange(levels)
    first = np.arange(levels - 1, -1, -1)
    gains = np.zeros((len(row), levels))
    for _ in range(OFFSET_ROUNDS):
        scales = _between(least, most)
        below = sums.below(union, scales)
        steps = _sums_before(sums.along(row, below))
        weights = _sums_before(sums.weights(row, below) * halves)
        along = highs * sums.total(row)[:, :, None]
        along = along - (steps[:, :, first + levels - 1] - steps[:, :, first])
        norms = highs**2 * sums.number(row)[:, :, None]
        norms = norms - 2 * (weights[:, :, first + levels - 1] - weights[:, :, first])
        found = gains_of(along, norms)
        gains = np.maximum(gains, found.max(axis=1))
        best = found.max(axis=2).argmax(axis=1)
        least = scales[row, np.maximum(best - 2, 0)]
        most = scales[row, np.minimum(best + 2, POINTS - 1)]
    kept = KEPT_OFFSETS + FEW_ELEMENTS // sums.ordered.shape[1]
    return -np.argsort(-gains, axis=1, kind="stable")[:, :kept]


def _sums_before(values: Floats) -> Floats:
    """Return running sums along the last axis, from zero on."""
    return np.pad(values.cumsum(axis=-1), ((0, 0), (0, 0), (1, 0)))


class _Round:
    """Errors at some scales of each of some problems, and what they say of those between.

    Args:
        sums: Of the rows.
        problems: p grids.
        least: Smallest scale, (p,).
        most: Largest, (p,).
    """

    def __init__(self, sums: RowSums, problems: Problems, least: Floats, most: Floats) -> None:
        self._sums, self._problems = sums, problems
        self._scales = _between(least, most)
        self._below = sums.below(problems, self._scales)
        self._along, self._norms = sums.products(problems, self._below)

    def offered(self, best: BestGrids) -> BestGrids:
        """Return the best so far, with the best scales for the integers met here."""
        row = self._problems.row
        gains = gains_of(self._along, self._norms)
        chosen = gains.argmax(axis=1)[:, None]
        gain, along, norm = (
            np.take_along_axis(of, chosen, 1)[:, 0] for of in (gains, self._along, self._norms)
        )
        some = gain > 0
        error = self._sums.squares[row[some]] - gain[some]
        return best.offer(row[some], error, along[some] / norm[some], self._problems.low[some])

    def open_intervals(self, best: BestGrids) -> NDArray[np.bool_]:
        """Say which intervals between two scales may hold what is better, (p, POINTS - 1)."""
        row, scales = self._problems.row, self._scales
        total = self._sums.squares[row]
        missing = best.error[row] - _EXACT * total
        errors = total[:, None] - 2 * scales * self._along + scales**2 * self._norms
        bend = self._norms[:, :-1] * np.diff(scales, axis=1) ** 2
        bound = least_between(errors[:, :-1], errors[:, 1:], bend)
        open_ones: NDArray[np.bool_] = (bound < missing[:, None]) & (missing > 0)[:, None]
        return open_ones

    def finished(self, chosen: NDArray[np.bool_], most: int | None) -> NDArray[np.bool_]:
        """Say of which problems the breakpoints in the chosen intervals are few, (p,)."""
        inside = np.abs(np.diff(self._below, axis=1)).sum(2)
        elements = self._sums.ordered.shape[1]
        limit = POINTS * self._below.shape[2] + elements // 16 if most is None else most
        few: NDArray[np.bool_] = (inside * chosen).sum(1) <= limit
        return few

    def hull(self, chosen: NDArray[np.bool_], some: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return the ends of the chosen intervals of some problems."""
        first = chosen[some].argmax(axis=1)
        last = POINTS - 1 - chosen[some][:, ::-1].argmax(axis=1)
        every = np.arange(len(first))
        return self._scales[some][every, first], self._scales[some][every, last]

    def through(self, chosen: NDArray[np.bool_], best: BestGrids) -> BestGrids:
        """Go through all breakpoints in the chosen intervals."""
        window, place = np.nonzero(chosen)
        if len(window) == 0:
            return best
        low, high = self._below[window, place], self._below[window, place + 1]
        inside = np.abs(high - low).sum(1)
        ends = np.searchsorted(inside.cumsum(), np.arange(_CHUNK, inside.sum() + _CHUNK, _CHUNK))
        start = 0
        for end in (*ends, len(window)):
            part = slice(start, end)
            best = self._through(window[part], place[part], best)
            start = max(start, int(end))
        return best

    def _through(self, window: Integers, place: Integers, best: BestGrids) -> BestGrids:
        at_least, at_most = self._below[window, place], self._below[window, place + 1]
        # As the scale falls, elements cross cuts: each gets one more in size.
        begin, sizes = np.minimum(at_least, at_most), np.abs(at_most - at_least)
        inside = sizes.sum(1)
        window, place, begin, sizes = (of[inside > 0] for of in (window, place, begin, sizes))
        inside = inside[inside > 0]
        if len(window) == 0:
            return best
        total, cuts = int(inside.sum()), sizes.shape[1]
        runs = sizes.ravel()
        offset = np.repeat(runs.cumsum() - runs, runs)
        element = np.repeat(begin.ravel(), runs) + np.arange(total) - offset
        mine = np.repeat(np.arange(len(window)), inside)
        cut = np.repeat(np.tile(np.arange(cuts), len(window)), runs)
        row = self._problems.row[window]
        halves = np.abs(self._problems.low[window][mine] + cut + 0.5)
        size = np.abs(self._sums.ordered[row[mine], element])
        counts = self._sums.counts[row[mine], element]
        top, bottom = self._scales[window, place + 1], self._scales[window, place]
        passed = (top[mine] - size / halves) / (top - bottom)[mine]
        order = np.argsort(2 * mine + np.clip(passed, 0.0, 1.0), kind="stable")
        last = inside.cumsum() - 1
        along = _running(counts * size, order, inside) + self._along[window, place + 1][mine]
        norms = _running(2 * counts * halves, order, inside) + self._norms[window, place + 1][mine]
        gains = gains_of(along, norms)
        most = np.maximum.reduceat(gains, last - inside + 1)
        found = np.flatnonzero(gains == most[mine])
        found = found[np.unique(mine[found], return_index=True)[1]]
        found = found[gains[found] > 0]
        of = mine[found]
        error = self._sums.squares[row[of]] - gains[found]
        low = self._problems.low[window][of]
        return best.offer(row[of], error, along[found] / norms[found], low)


def _between(least: Floats, most: Floats) -> Floats:
    """Return scales from the least to the most, in equal ratios, (p, POINTS)."""
    scales = least[:, None] * (most / least)[:, None] ** np.linspace(0.0, 1.0, POINTS)
    scales[:, -1] = most
    return scales


def _running(values: Floats, order: Integers, sizes: Integers) -> Floats:
    """Return the running sums of ordered values, beginning anew after so many each."""
    sums = values[order].cumsum()
    before = np.r_[0.0, sums[sizes.cumsum()[:-1] - 1]]
    result: Floats = sums - np.repeat(before, sizes)
    return result
