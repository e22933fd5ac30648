"""A dask cluster for the occasion: a scheduler in this process, and workers of this machine.

Its workers are processes that are started and killed here, without dask's nannies: a nanny that
waits for a worker that was stopped while it started cannot be closed any more.
"""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gp_emq._signals import ends_left_to_this_process
from gp_emq.farm._loky import THREAD_VARIABLES

START_LIMIT = 60.0
"""Seconds after which a worker that has not come to the scheduler is replaced."""


class LocalDask:
    """A scheduler, and as many workers as asked for; those that end are replaced.

    Args:
        distributed: The module.
        jobs: How many workers.
    """

    def __init__(self, distributed: Any, jobs: int) -> None:
        with ends_left_to_this_process():
            self._cluster = distributed.LocalCluster(
                n_workers=0, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
            )
        self.scheduler: str = self._cluster.scheduler_address
        self._jobs = jobs
        self._started: dict[subprocess.Popen[bytes], float] = {}
        self.refill(set())

    def refill(self, present: set[int | None]) -> None:
        """Start workers in the place of those that have ended, or never came.

        Args:
            present: Processes of the workers that have come to the scheduler.
        """
        now = time.monotonic()
        for process, start in list(self._started.items()):
            is_late = process.pid not in present and now - start > START_LIMIT
            if is_late:
                line = f"a worker did not start within {START_LIMIT:g} s; another takes its place"
                sys.stderr.write(f"{line}\n")
                process.kill()
                process.wait()
            if process.poll() is not None:
                del self._started[process]
        while len(self._started) < self._jobs:
            self._started[self._start()] = now

    def close(self) -> None:
        """End the workers and the scheduler."""
        for process in self._started:
            # Not only asked to end: one that is stopped would not hear it.
            process.kill()
        for process in self._started:
            process.wait()
        self._started.clear()
        self._cluster.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        # Workers import what this process can import, wherever it was found.
        path = os.pathsep.join(str(Path(part).resolve()) for part in sys.path)
        variables = {**dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONPATH": path}
        command = [sys.executable, "-m", "gp_emq.farm._dask_worker", self.scheduler]
        with ends_left_to_this_process():
            return subprocess.Popen(  # noqa: S603 - the command is ours
                [*command, str(os.getpid())],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
