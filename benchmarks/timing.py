"""Timing that survives a noisy machine: processor seconds, and ratios of neighbouring runs."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: What was measured.
        ours: Seconds, median.
        baseline: What it is compared with.
        theirs: Seconds of that, median.
        ratio: How many times faster ours is (or slower, where ``floor`` is set): the median of
            the ratios of pairs measured one after the other.
        floor: Whether the baseline is a lower bound that ours approaches from above.
    """

    name: str
    ours: float
    baseline: str
    theirs: float
    ratio: float
    floor: bool = False

    def line(self) -> str:
        """Write the row as a line of a Markdown table."""
        if self.floor:
            ratio = f"{self.ratio:.1f} × the floor"
        elif self.ratio < 1:
            ratio = f"{1 / self.ratio:.1f} × slower"
        else:
            ratio = f"{self.ratio:.1f} × faster"
        return (
            f"| {self.name} | {_seconds(self.ours)} | {self.baseline} | {_seconds(self.theirs)} "
            f"| {ratio} |"
        )


def compare(
    name: str,
    ours: Callable[[], object],
    baseline: str,
    theirs: Callable[[], object],
    *,
    repeats: int = 3,
    share: float = 1.0,
) -> Row:
    """Measure two functions in turn, and the ratio pair by pair.

    Args:
        name: What ours does.
        ours: It.
        baseline: What the other does.
        theirs: The other.
        repeats: Pairs that count; one more is a warm-up.
        share: The part of the work that ``theirs`` does, where all of it would take too long.
    """
    pairs = [(_timed(ours), _timed(theirs) / share) for _ in range(repeats + 1)][1:]
    return Row(
        name,
        statistics.median(pair[0] for pair in pairs),
        baseline,
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[1] / pair[0] for pair in pairs),
    )


def seconds_to_read(tensors: Sequence[torch.Tensor], repeats: int = 10) -> float:
    """Measure what reading a tensor once takes at the least, on one thread.

    Several are read in turn, as trees do that are evaluated side by side, so that none is left
    in the processor's cache from the time before.

    Args:
        tensors: Of one size.
        repeats: Rounds, of which the fastest counts.

    Returns:
        Seconds per tensor.
    """

    def read() -> None:
        for tensor in tensors:
            tensor.sum()

    return min(_timed(read) for _ in range(repeats)) / len(tensors)


def _timed(function: Callable[[], object]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"
