"""What makes a process started here a good worker."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

from gp_emq._signals import ENDS
from gp_emq.command import spare_what_lives

WATCH = 1.0
"""Seconds between looks at whether the process that started a worker still lives."""


def leave_interruptions() -> None:
    """Leave Ctrl-C to the process in charge, and go before it where memory runs out."""
    spare_what_lives()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Blocked since before this process began; SIGTERM ends it, silently now that all is imported.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    # Only Linux has it, and a sandbox may not let it be written.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


async def kill_this_process() -> None:
    """End this process at once; a coroutine, since dask does not wait for those."""
    os.kill(os.getpid(), signal.SIGKILL)


def follow(owner: int) -> None:
    """End this process soon after another, however that came to its end.

    Args:
        owner: The process that started this one.
    """
    threading.Thread(target=_watch, args=(owner,), daemon=True).start()


def _watch(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(WATCH)
    os._exit(1)
