"""The scale of least squared error by branch and bound, for rows that are not sorted.

Between two scales the error is at least what `least_between` says. Intervals of scales are cut up
where that is below the least error known, and left where it is not, until few elements change
their integer within one; those are gone through. Errors that only choose intervals are computed
in float32, with a bound on how wrong they are; what decides is computed in float64.

Intervals are of the inverse u of the scale, along which the integer of x changes at (j + ½) / |x|,
evenly.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gp_emq.quantization._best_grids import BestGrids, Floats, Integers, gains_of, nothing_yet
from gp_emq.quantization._error_bounds import least_between, scale_ends

FIRST_CHANGES = 0.25
"""How often an element changes its integer within an interval to begin with."""
LAST_CHANGES = 0.04
"""And within one that is gone through, or `FEW_CHANGES` of all elements."""
FEW_CHANGES = 2.0
PARTS = 4
"""Into which an interval is cut."""
TRIED = np.array([0.35, 0.5, 0.65, 0.8, 0.9, 1.0])
"""Of the scale at which nothing is clipped."""
_BLOCK = 1 << 16
"""Elements at once, few enough for the processor's cache."""
_DIGIT = 2.0**-22
"""More than a product of float32s is wrong by, its factors being rounded, of its size."""
_EXACT = 1e-13
"""Of |x|²: what rounding may leave of an error of zero."""
_TIE = 1e-14
"""Of |x|²: errors that differ by no more are equal, and the largest of such scales is taken."""


@dataclass(frozen=True)
class _Points:
    """Errors at some scales.

    Attributes:
        problem: Whose, never falling, (k,).
        inverse: Of the scale, a float32's value, (k,).
        least: What the error is at least, (k,).
        most: What it is at most, (k,).
        norms: What |q|² is at most, (k,).
    """

    problem: Integers
    inverse: Floats
    least: Floats
    most: Floats
    norms: Floats


@dataclass(frozen=True)
class _Intervals:
    """Intervals of inverse scales.

    Attributes:
        problem: Whose, (k,).
        inverses: Both ends, rising, (2, k).
        errors: What the errors there are at least, (2, k).
        norms: What |q|² is at most within, (k,).
    """

    problem: Integers
    inverses: Floats
    errors: Floats
    norms: Floats

    def __len__(self) -> int:
        return len(self.problem)

    def take(self, chosen: NDArray[np.generic]) -> "_Intervals":
        return _Intervals(
            self.problem[chosen],
            self.inverses[:, chosen],
            self.errors[:, chosen],
            self.norms[chosen],
        )

    def lowest(self) -> Floats:
        """Return what the error is at least within, (k,)."""
        larger, smaller = 1 / self.inverses
        return least_between(self.errors[1], self.errors[0], self.norms * (larger - smaller) ** 2)

    @property
    def lengths(self) -> Floats:
        lengths: Floats = self.inverses[1] - self.inverses[0]
        return lengths


class BoundedSearch:
    """A search for the best grid of each row.

    Args:
        rows: (rows, elements), the largest of each 0.5 to 1 in size.
        counts: As `rows`; once each where there are none.
        bits: Of the grids.
        offsets: Smallest integers to try, (rows, k).
    """

    def __init__(self, rows: Floats, counts: Floats | None, bits: int, offsets: Integers) -> None:
        self._rows, self._counts, self._bits, self._offsets = rows, counts, bits, offsets
        self._row = np.repeat(np.arange(len(rows)), offsets.shape[1])
        self._low = offsets.ravel()
        self._high = self._low + (1 << bits) - 1
        size = np.abs(rows)
        self._sizes = size.sum(1)
        self._total = (size**2 if counts is None else counts * size**2).sum(1)
        self._known = self._total.copy()
        self._rounded = torch.from_numpy(rows.astype(np.float32))
        self._weights = None if counts is None else torch.from_numpy(counts.astype(np.float32))
        self._summing = (rows.shape[1] + 8) * 2.0**-23
        one_low = bool((self._low == self._low[0]).all())
        self._cuts = None if not one_low else (int(self._low[0]), int(self._high[0]))

    def best(self) -> BestGrids:
        """Return the best grids."""
        elements = self._rows.shape[1]
        few = max(FEW_CHANGES, LAST_CHANGES * elements)
        begin, end = self._ends()
        open_ones = self._first(begin, end)
        small: list[_Intervals] = []
        while len(open_ones):
            open_ones = self._still_open(open_ones)
            done = self._sizes[self._row[open_ones.problem]] * open_ones.lengths <= few
            small.append(open_ones.take(done))
            open_ones = self._cut(open_ones.take(~done))
        found = _Intervals(
            np.concatenate([one.problem for one in small]),
            np.concatenate([one.inverses for one in small], axis=1),
            np.concatenate([one.errors for one in small], axis=1),
            np.concatenate([one.norms for one in small]),
        )
        found = self._still_open(found)
        order = np.lexsort((found.inverses[0], found.problem))
        return self._through(found.take(order))

    def _still_open(self, intervals: _Intervals) -> _Intervals:
        return intervals.take(intervals.lowest() <= self._known[self._row[intervals.problem]])

    def _ends(self) -> tuple[Floats, Floats]:
        """Return inverse scales between which the best is, (problems,) each."""
        row = self._row
        above = np.maximum(self._rows.max(1), 0.0)[row]
        below = np.maximum(-self._rows.min(1), 0.0)[row]
        with np.errstate(divide="ignore", invalid="ignore"):
            full = np.fmax(above / self._high, below / -self._low)
        full = np.where(np.isfinite(full) & (full > 0), full, np.maximum(above, below))
        problem = np.repeat(np.arange(len(row)), len(TRIED))
        tried = (1 / (full[:, None] * TRIED)).ravel()
        self._measure(problem, tried)
        least, most = scale_ends(
            self._rows,
            np.ones_like(self._rows) if self._counts is None else self._counts,
            (1 << self._bits) - 1,
        )
        # What clips by more than the known error is out of question, and so is all below it.
        known = self._known[row]
        hopeless = self._clipping(problem, tried).reshape(-1, len(TRIED)) > known[:, None]
        spare = np.sqrt(known) * (1 + 1e-6)
        with np.errstate(divide="ignore", invalid="ignore"):
            clipped = np.fmax((above - spare) / self._high, (below - spare) / -self._low)
        clipped = np.fmax(clipped, (hopeless * TRIED).max(1) * full)
        # NaN is nothing to clip by nothing.
        smallest = np.fmax(least[row], clipped)
        return 0.99 / most[row], 1.01 / smallest

    def _first(self, begin: Floats, end: Floats) -> _Intervals:
        problem = np.flatnonzero(end > begin)
        begin, end = begin[problem], end[problem]
        changes = self._sizes[self._row[problem]] * (end - begin)
        parts = np.ceil(changes / (FIRST_CHANGES * self._rows.shape[1])).astype(np.int64)
        sizes = parts + 1
        place = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)
        share = place / np.repeat(parts, sizes)
        inverse = np.repeat(begin, sizes) + np.repeat(end - begin, sizes) * share
        points = self._measure(np.repeat(problem, sizes), inverse)
        first = np.flatnonzero(place < np.repeat(parts, sizes))
        return _Intervals(
            points.problem[first],
            np.stack([points.inverse[first], points.inverse[first + 1]]),
            np.stack([points.least[first], points.least[first + 1]]),
            points.norms[first + 1],
        )

    def _cut(self, intervals: _Intervals) -> _Intervals:
        shares = np.arange(1, PARTS) / PARTS
        inverse = intervals.inverses[0][:, None] + intervals.lengths[:, None] * shares
        points = self._measure(np.repeat(intervals.problem, PARTS - 1), inverse.ravel())

        def between(first: Floats, inner: Floats, last: Floats) -> Floats:
            return np.column_stack([first, inner.reshape(-1, PARTS - 1), last])

        inverses = between(intervals.inverses[0], points.inverse, intervals.inverses[1])
        errors = between(intervals.errors[0], points.least, intervals.errors[1])
        norms = between(intervals.norms, points.norms, intervals.norms)
        return _Intervals(
            np.repeat(intervals.problem, PARTS),
            np.stack([inverses[:, :-1].ravel(), inverses[:, 1:].ravel()]),
            np.stack([errors[:, :-1].ravel(), errors[:, 1:].ravel()]),
            norms[:, 1:].ravel(),
        )

    def _clipping(self, problem: Integers, inverse: Floats) -> Floats:
        """Return at least the error of clipping alone, (k,), which rises with the inverse."""
        inverse, squares, _ = self._squares(problem, inverse, rounding=False)
        error, wrong = self._errors(problem, inverse, squares)
        return error - wrong

    def _measure(self, problem: Integers, inverse: Floats) -> _Points:
        """Compute errors, and learn from the best of each row."""
        inverse, squares, norms = self._squares(problem, inverse, rounding=True)
        error, wrong = self._errors(problem, inverse, squares)
        points = _Points(
            problem,
            inverse,
            np.maximum(error - wrong, 0.0),
            error + wrong,
            norms * (1 + self._summing),
        )
        self._learn(points)
        return points

    def _errors(self, problem: Integers, inverse: Floats, squares: Floats) -> tuple[Floats, Floats]:
        """Return errors, and how wrong they are at most, (k,) each."""
        error, total = squares / inverse**2, self._total[self._row[problem]]
        # By Cauchy and Schwarz, and for sums of what is not negative, in whatever order.
        wrong = self._summing * error + 2 * _DIGIT * np.sqrt(error * total) + _DIGIT**2 * total
        return error, wrong

    def _squares(
        self, problem: Integers, inverse: Floats, *, rounding: bool
    ) -> tuple[Floats, Floats, Floats]:
        """Compute, in float32, |x u - q|² and |q|², q being clipped, and rounded or not.

        Returns:
            The inverses in float32's precision, and both sums, (k,) each.
        """
        rounded = inverse.astype(np.float32)
        row = torch.from_numpy(self._row[problem])
        values = torch.from_numpy(rounded)[:, None]
        squares, norms = torch.empty(2, len(problem))
        step = max(1, _BLOCK // self._rows.shape[1])
        for start in range(0, len(problem), step):
            part = slice(start, start + step)
            exact = self._rounded.index_select(0, row[part]).mul_(values[part])
            whole = self._clamped(exact.round() if rounding else exact.clone(), problem[part])
            rest = exact.sub_(whole).square_()
            whole.square_()
            if self._weights is not None:
                weights = self._weights.index_select(0, row[part])
                rest.mul_(weights)
                whole.mul_(weights)
            torch.sum(rest, 1, out=squares[part])
            torch.sum(whole, 1, out=norms[part])
        return (
            rounded.astype(np.float64),
            squares.numpy().astype(np.float64),
            norms.numpy().astype(np.float64),
        )

    def _clamped(self, integers: torch.Tensor, problem: Integers) -> torch.Tensor:
        if self._cuts is not None:
            return integers.clamp_(*self._cuts)
        low, high = (
            torch.from_numpy(of[problem].astype(np.float32))[:, None]
            for of in (self._low, self._high)
        )
        return integers.clamp_(low, high)

    def _learn(self, points: _Points) -> None:
        """Lower the known errors, to those of the best scale for the integers met."""
        row = self._row[points.problem]
        begins = np.flatnonzero(np.diff(row, prepend=-1))
        least = np.minimum.reduceat(points.most, begins)
        sizes = np.diff(begins, append=len(row))
        found = np.flatnonzero(points.most == np.repeat(least, sizes))
        found = found[np.flatnonzero(np.diff(row[found], prepend=-1))]
        found = found[points.most[found] < self._known[row[found]]]
        row, problem, inverse = row[found], points.problem[found], points.inverse[found]
        self._known[row] = points.most[found]
        step = max(1, _BLOCK // self._rows.shape[1])
        for start in range(0, len(row), step):
            part = slice(start, start + step)
            mine = row[part]
            _, along, norms = self._integers(problem[part], inverse[part])
            error = self._total[mine] * (1 + _EXACT) - gains_of(along, norms)
            self._known[mine] = np.minimum(self._known[mine], error)

    def _integers(self, problem: Integers, inverse: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the sizes of integers, x·q and |q|²: (k, elements), (k,) and (k,)."""
        values = self._rows[self._row[problem]]
        integers = values * inverse[:, None]
        np.rint(integers, out=integers)
        np.maximum(integers, self._low[problem, None].astype(np.float64), out=integers)
        np.minimum(integers, self._high[problem, None].astype(np.float64), out=integers)
        weighted = integers if self._counts is None else integers * self._counts[self._row[problem]]
        along = np.einsum("pe,pe->p", values, weighted)
        norms = np.einsum("pe,pe->p", integers, weighted)
        return np.abs(integers), along, norms

    def _through(self, intervals: _Intervals) -> BestGrids:
        """Go through all changes of integers within intervals, those of a row one by another."""
        counts = np.ones_like(self._rows) if self._counts is None else self._counts
        best = nothing_yet(self._rows, counts, self._offsets[0])
        row = self._row[intervals.problem]
        begins = np.flatnonzero(np.diff(row, prepend=-1))
        sizes = np.diff(begins, append=len(row))
        step = max(1, (_BLOCK << 2) // self._rows.shape[1])
        start = 0
        while start < len(begins):
            stop = start + max(1, int(np.searchsorted(sizes[start:].cumsum(), step, "right")))
            part = slice(begins[start], begins[stop - 1] + sizes[stop - 1])
            best = self._decided(intervals.take(np.arange(len(row))[part]), best)
            start = stop
        return best

    def _decided(self, intervals: _Intervals, best: BestGrids) -> BestGrids:
        problem, (begin, end) = intervals.problem, intervals.inverses
        row = self._row[problem]
        before, along, norms = self._integers(problem, begin)
        after, _, _ = self._integers(problem, end)
        place, element = np.nonzero(after > before)
        times = (after - before)[place, element].astype(np.int64)
        place, element = np.repeat(place, times), np.repeat(element, times)
        run = np.arange(len(place))
        half = before[place, element] + 0.5 + run - np.repeat(times.cumsum() - times, times)
        size = np.abs(self._rows[row[place], element])
        count = 1.0 if self._counts is None else self._counts[row[place], element]
        number = np.bincount(place, minlength=len(problem))
        slot = run - np.repeat(number.cumsum() - number, number)
        changes = np.zeros((3, len(problem), int(number.max(initial=0)) + 1))
        changes[0] = np.inf
        changes[0, :, 0], changes[1, :, 0], changes[2, :, 0] = -np.inf, along, norms
        changes[:, place, slot + 1] = half / size, count * size, 2 * count * half
        order = np.argsort(changes[0], axis=1, kind="stable")
        along = np.take_along_axis(changes[1], order, 1).cumsum(1)
        norms = np.take_along_axis(changes[2], order, 1).cumsum(1)
        gains = gains_of(along, norms)
        highest = np.zeros(len(self._rows))
        np.maximum.at(highest, row, gains.max(1))
        good = gains >= (highest - _TIE * self._total)[row][:, None]
        good &= norms > 0
        chosen = np.flatnonzero(good.any(1))
        chosen = chosen[np.flatnonzero(np.diff(row[chosen], prepend=-1))]
        first = good[chosen].argmax(1)
        gain, along, norm = (of[chosen, first] for of in (gains, along, norms))
        mine = row[chosen]
        error = self._total[mine] - gain
        return best.offer(mine, error, along / norm, self._low[problem[chosen]])
