"""What a back end is: workers that take one task at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Protocol

from gp_emq.errors import GpEmqError


class WorkerDiedError(Exception):
    """The process of a worker is gone, and with it what it was doing."""


class Worker(Protocol):
    """Does one thing at a time; it keeps what it has set up until its process ends."""

    @property
    def number(self) -> int:
        """Which of the workers of its machine it is, from 0; it decides about the device."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Let the worker call a function.

        Returns:
            A future of the result, which raises `WorkerDiedError` where the process ended.
        """

    def end(self) -> None:
        """End the worker's process, whatever it is doing; another takes its place if it can."""


class Backend(Protocol):
    """Gives workers."""

    @property
    def ends_workers(self) -> bool:
        """Whether `Worker.end` does what it says."""

    @property
    def poll(self) -> float | None:
        """Seconds after which to ask again who is there; None where futures tell."""

    def workers(self) -> Sequence[Worker]:
        """Give the workers that are there now; a worker is the same object every time."""

    def close(self) -> None:
        """End what was started."""


def require(module: str, extra: str) -> Any:
    """Import an optional package.

    Args:
        module: Its module.
        extra: The extra of this package that installs it.

    Raises:
        GpEmqError: It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise GpEmqError(
            f"the {extra} back end needs a package that is not installed ({error}); "
            f"install it with: pip install gp_emq[{extra}]"
        ) from error
