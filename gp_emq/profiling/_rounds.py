"""Timing things in turn, so that what disturbs a machine meets them all."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

RUNS = 3
"""Runs that count in a round, after one that does not."""

Key = TypeVar("Key")


@dataclass(frozen=True)
class Timing:
    """How long something takes.

    Attributes:
        milliseconds: Median of the rounds.
        spread: Milliseconds between the first and the third quarter of the rounds.
    """

    milliseconds: float
    spread: float


def time_in_rounds(
    functions: Mapping[Key, Callable[[], object]],
    rounds: int,
    *,
    clock: Callable[[], float],
    progress: Callable[[int], object] = lambda _done: None,
) -> dict[Key, Timing]:
    """Time functions, all of them once in each round.

    Args:
        functions: What is timed.
        rounds: How many there are, after one that does not count.
        clock: Gives seconds.
        progress: Called with the number of rounds done.
    """
    taken: dict[Key, list[float]] = {key: [] for key in functions}
    for done in range(rounds + 1):
        for key, function in functions.items():
            function()
            start = clock()
            for _ in range(RUNS):
                function()
            taken[key].append((clock() - start) / RUNS)
        progress(done)
    return {key: _timing(seconds[1:]) for key, seconds in taken.items()}


def clock_of(threads: int) -> Callable[[], float]:
    """Give the clock that is least disturbed: this thread's processor seconds if it is alone."""
    return time.thread_time if threads == 1 else time.perf_counter


def _timing(seconds: list[float]) -> Timing:
    first, middle, third = np.quantile(seconds, (0.25, 0.5, 0.75)) * 1000
    return Timing(float(middle), float(third - first))
