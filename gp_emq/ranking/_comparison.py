"""Whether a proxy differs from the best hand-crafted one by more than chance."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from gp_emq.correlation import FloatArray


class Mark(StrEnum):
    """How a proxy compares with the best of the hand-crafted ones."""

    BETTER = "+"
    WORSE = "-"
    SAME = "="
    BEST = "*"
    NONE = ""


def marks(
    values: FloatArray,
    resampled: FloatArray,
    handcrafted: Sequence[bool],
    configurations: int,
    level: float = 0.05,
) -> tuple[Mark, ...]:
    """Compare every proxy with the best hand-crafted one, which was picked for being the best.

    Which hand-crafted proxy is the best is itself chance, and the highest of many values is
    too high. A proxy is therefore worse only if its distance to the highest exceeds what the
    largest of the centred differences to the hand-crafted ones reaches in resamples, where
    those that are too far from the highest to be the best are left out (Hansen, A test for
    superior predictive ability, 2005), and better only if it beats in resamples whichever
    hand-crafted proxy is best there. Those that may be better are several, too: their
    probabilities are compared with Holm's steps.

    Args:
        values: Kendall tau of each proxy, (p,); nan where it has none.
        resampled: The same in r paired resamples, (p, r).
        handcrafted: Which proxies are hand-crafted.
        configurations: How many configurations the values rest on.
        level: Two-sided level; half of it on each side.

    Returns:
        One mark per proxy: `*` the best hand-crafted, `-` worse, `+` better, `=` not to be
        told apart, empty where there is nothing to compare.
    """
    usable = np.isfinite(values) & np.isfinite(resampled).any(axis=1)
    rivals = np.flatnonzero(np.asarray(handcrafted) & usable)
    result = [Mark.NONE] * len(values)
    if rivals.size == 0:
        return tuple(result)
    draws = np.where(np.isfinite(resampled), resampled, values[:, None])
    best = int(rivals[np.argmax(values[rivals])])
    centred = draws - values[:, None]
    spread = (centred[best] - centred).std(axis=1)
    limit = np.sqrt(2 * np.log(np.log(max(configurations, 3))))
    contenders = rivals[values[best] - values[rivals] <= limit * spread[rivals]]
    better: dict[int, float] = {}
    for index in map(int, np.flatnonzero(usable)):
        if index == best:
            result[index] = Mark.BEST
            continue
        distance = values[best] - values[index]
        result[index] = Mark.SAME
        if distance > 0:
            others = contenders[contenders != index]
            largest = (centred[others] - centred[index]).max(axis=0)
            if float(np.mean(largest >= distance)) <= level / 2:
                result[index] = Mark.WORSE
        elif not handcrafted[index]:
            better[index] = float(np.mean(draws[index] <= draws[rivals].max(axis=0)))
    steps = sorted(better, key=lambda index: better[index])
    for place, index in enumerate(steps):
        if better[index] > level / 2 / (len(steps) - place):
            break
        result[index] = Mark.BETTER
    return tuple(result)
