"""Ctrl-C as a request, not an accident."""

import contextlib
import os
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_NOTICE = b"\nstopping after this generation; Ctrl-C again stops at once\n"


class Interruption:
    """Turns the first Ctrl-C into a request to stop after the present generation.

    A second one interrupts at once, as usual; what the store holds is then the last completed
    generation. Use it as a context manager; outside the main thread it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> Self:
        try:
            self._before = signal.signal(signal.SIGINT, self._request)
        except ValueError:
            self._before = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _request(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # Not through sys.stderr, which may be in the middle of a line of the progress bar.
        with contextlib.suppress(OSError):
            os.write(2, _NOTICE)
