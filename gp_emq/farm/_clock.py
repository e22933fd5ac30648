"""The time that a dispatcher goes by, which a simulation replaces by its own."""

import time
from collections.abc import Collection, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Protocol


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def now(self) -> float:
        """Give seconds since some moment; they never go back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def wait(
        self, futures: "Mapping[Future[Any], Any]", timeout: float | None
    ) -> "Collection[Future[Any]]":
        """Wait until a future is done, or for so many seconds; give those that are done."""


class WallClock:
    """The time of the world."""

    def now(self) -> float:
        """Give the seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""
        time.sleep(seconds)

    def wait(
        self, futures: "Mapping[Future[Any], Any]", timeout: float | None
    ) -> "Collection[Future[Any]]":
        """Wait for the first future."""
        return wait(futures, timeout=timeout, return_when=FIRST_COMPLETED).done


WALL = WallClock()
