"""Keeping what a C library prints to itself."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator

_LOCK = threading.RLock()
"""There is one standard output: a second thread would take what the first put in its place for
what is to be put back."""


@contextlib.contextmanager
def quiet_output() -> Iterator[None]:
    """Discard what C code inside the block writes to the process's standard output.

    HiGHS prints stray lines past every setting of its own, which would corrupt what a command
    writes. Where there is no standard output, nothing is done. Threads take turns.
    """
    with _LOCK:
        if sys.stdout is not None:
            sys.stdout.flush()
        try:
            kept = os.dup(1)
        except OSError:
            yield
            return
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - devnull is no user's path
                _flush_c_streams()
                os.dup2(nowhere.fileno(), 1)
                try:
                    yield
                finally:
                    # What C buffers would otherwise come out later, after the block.
                    _flush_c_streams()
                    os.dup2(kept, 1)
        finally:
            os.close(kept)


def _flush_c_streams() -> None:
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
