"""Where the scale of least squared error cannot be.

Between two scales s_0 < s_1, E(s) - |q(s_0)|² s² lies above its chord: for fixed integers it is a
parabola less a steeper one, and the smallest of such functions bends the same way. That bounds
the error E of all scales between from below.
"""

import numpy as np

from gp_emq.quantization._best_grids import Floats


def least_between(smaller: Floats, larger: Floats, bend: Floats) -> Floats:
    """Return what the error between two scales is at least, (...).

    Args:
        smaller: The error at the smaller scale, or less.
        larger: At the larger.
        bend: |q|² at the smaller scale, or more, times the square of the scales' difference.
    """
    rise = larger - smaller
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.clip(np.where(bend > 0, (bend - rise) / (2 * bend), 0.0), 0.0, 1.0)
    lowest: Floats = smaller + place * (rise - bend) + place**2 * bend
    return lowest


def scale_ends(rows: Floats, counts: Floats, steps: int) -> tuple[Floats, Floats]:
    """Return scales between which the best one lies, (rows,) each.

    It is a mean of |x| / |q| with weights q², hence at most max |x|; and on each side of zero |q|
    rises with |x|, hence it is at least the smaller side's mean |x| divided by the largest |q|.
    """
    size = np.abs(rows)
    means = []
    for side in (rows > 0, rows < 0):
        there = counts * side
        number = there.sum(1)
        mean = np.divide(
            (there * size).sum(1), number, out=np.full(len(rows), np.inf), where=number > 0
        )
        means.append(mean)
    return np.minimum(*means) / steps, size.max(1)
