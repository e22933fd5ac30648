"""Whether scores can rank widths at all: what is flat, what falls, and what is only rounding."""

import math
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise

from gp_emq.allocation._space import CHOSEN, Space
from gp_emq.errors import AllocationError

NOISE = 16 * sys.float_info.epsilon
"""Differences of scores up to this share of their magnitude are rounding, as sums of some thousand
numbers leave it: 16 units in the last place, no more than four bits of information."""

_CHANCE = 1e-3
"""Rows that fall by chance less often than this are in the wrong order, or of the wrong sign."""

Scores = Mapping[tuple[int, int], float]


def is_constant(scores: Sequence[float]) -> bool:
    """Say whether scores are equal but for rounding."""
    return max(scores) - min(scores) <= NOISE * max(map(abs, scores))


def falls(low: float, high: float) -> bool:
    """Say whether a score is lower than that of a lower width by more than rounding."""
    return low - high > NOISE * max(abs(low), abs(high))


def rows_to_choose(space: Space, scores: Scores) -> dict[int, list[float]]:
    """Scores of the entries that have a choice, by entry, from the lowest width up."""
    return {
        entry: [scores[entry, width] for width in allowed]
        for entry, allowed in enumerate(space.widths)
        if space.decisions[entry] == CHOSEN and len(allowed) > 1
    }


def check_ranks(space: Space, scores: Scores, table: str) -> None:
    """Refuse scores that tell no two plans apart, or that are upside down.

    Args:
        space: What may be chosen.
        scores: By entry and width, finite.
        table: What complaints call the table.

    Raises:
        AllocationError: All rows that have a choice are constant, or all of them fall with
            every bit, and are more than fall so by chance once in a thousand times.
    """
    rows = rows_to_choose(space, scores)
    if not rows:
        return
    whole = "every layer" if len(rows) == len(space.widths) else "every layer that has a choice"
    if all(map(is_constant, rows.values())):
        values = [score for row in rows.values() for score in row]
        same = f"{values[0] + 0.0:g} at every width of {whole}"
        flat = same if is_constant(values) else f"the same at all widths of {whole}"
        raise AllocationError(
            f"{table} cannot rank: the score is {flat}, so that no plan is better than another; "
            "take another proxy"
        )
    chance = math.prod(1 / math.factorial(len(row)) for row in rows.values())
    if chance < _CHANCE and all(all(falls(*pair) for pair in pairwise(r)) for r in rows.values()):
        raise AllocationError(
            f"{table} is upside down: the score of {whole} falls with every bit, but a higher sum "
            f"must be better, and the columns must be {', '.join(map(str, space.bits))} bits"
        )
