"""What the screen rejected, by reason, generation by generation."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.store import GenerationRow

REASONS_SHOWN = 6


def rejection_shares(
    generations: Sequence[GenerationRow], most: int = REASONS_SHOWN
) -> tuple[list[str], NDArray[np.float64]]:
    """What share of the proposals of each generation was rejected, by reason.

    Args:
        generations: of a run, in order.
        most: how many reasons to tell apart; the rarest are added up as `other reasons`.

    Returns:
        The reasons, the most frequent first, and float64 (reasons, generations) of shares.
    """
    totals: dict[str, int] = {}
    counted = [by_kind(row.rejections) for row in generations]
    for rejections in counted:
        for reason, count in rejections.items():
            totals[reason] = totals.get(reason, 0) + count
    reasons = sorted(totals, key=lambda reason: (-totals[reason], reason))
    proposals = np.diff([0, *(row.proposals for row in generations)]).astype(np.float64)
    counts = np.array([[rejections.get(r, 0) for rejections in counted] for r in reasons])
    shares = counts.reshape(len(reasons), len(generations)) / np.maximum(proposals, 1.0)
    if len(reasons) > most:
        shares = np.vstack([shares[: most - 1], shares[most - 1 :].sum(axis=0)])
        reasons = [*reasons[: most - 1], "other reasons"]
    return reasons, shares


def by_kind(rejections: Mapping[str, int]) -> dict[str, int]:
    """Add up reasons that differ only in their details, which follow a colon."""
    kinds: dict[str, int] = {}
    for reason, count in rejections.items():
        kind = reason.split(":")[0]
        kinds[kind] = kinds.get(kind, 0) + count
    return kinds


def smoothed(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """A centred moving mean over about a twentieth of the generations, and its width."""
    width = 2 * (rows.shape[1] // 40) + 1
    kernel = np.ones(width)
    weights = np.convolve(np.ones(rows.shape[1]), kernel, mode="same")
    smooth = [np.convolve(row, kernel, mode="same") / weights for row in rows]
    return np.array(smooth).reshape(rows.shape), width
