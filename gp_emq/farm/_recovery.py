"""What becomes of items whose work was lost: tried again, in ever smaller tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

WORKER_DIED = "worker died"
TIMED_OUT = "timed out"
OUT_OF_MEMORY = "out of memory"

ATTEMPTS = 3
"""How often an item is tried alone before it has failed; others use the machine too."""

PIECES = 4
"""Into how many a lost task is cut; halves would cost more workers or time limits per culprit."""


@dataclass(frozen=True)
class Parcel:
    """Some items that one worker does in one go.

    Args:
        places: Where the items are among all items.
        losses: How often it was lost while it was a single item.
    """

    places: tuple[int, ...]
    losses: int = 0


def cut(places: Sequence[int], pieces: int) -> list[Parcel]:
    """Cut places into about equal tasks, taking turns.

    Args:
        places: What to cut.
        pieces: Most tasks to make; each has one place at least.
    """
    count = min(len(places), pieces)
    return [Parcel(tuple(places[start::count])) for start in range(count)]


def after_loss(task: Parcel) -> list[Parcel]:
    """Give what is to be tried instead of a lost task; nothing once its one item has failed."""
    if len(task.places) > 1:
        return cut(task.places, PIECES)
    if task.losses + 1 < ATTEMPTS:
        return [replace(task, losses=task.losses + 1)]
    return []
