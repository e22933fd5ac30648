"""Processes on this machine, by joblib's loky."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from multiprocessing import resource_tracker
from typing import Any

from joblib.externals.loky import process_executor  # type: ignore[import-untyped]
from joblib.externals.loky.backend import (  # type: ignore[import-untyped]
    resource_tracker as loky_tracker,
)

from gp_emq._signals import ends_left_to_this_process
from gp_emq.farm._backends import Worker, WorkerDiedError
from gp_emq.farm._processes import follow, leave_interruptions

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""What tells libraries how many threads to use, before anybody can tell torch."""

_DEATHS = (process_executor.BrokenProcessPool, process_executor.ShutdownExecutorError)


class _Process:
    """A worker process, started when it is first needed, and anew after each end.

    Each is a loky executor of its own with one process: in an executor with several, one death
    would break all of them, and nobody could tell whose task was to blame.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._executor: Any = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        outcome: Future[Any] = Future()
        try:
            source = self._submit(function, *arguments)
        except _DEATHS as error:
            # It died while it had nothing to do.
            outcome.set_exception(WorkerDiedError(str(error)))
        else:
            source.add_done_callback(lambda done: _pass_on(done, outcome))
        return outcome

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._executor is not None:
            return self._executor.submit(function, *arguments)
        # The first task starts the process. The trackers let what ends a process through again
        # wherever they start their own.
        _start_trackers()
        with ends_left_to_this_process():
            self._executor = process_executor.ProcessPoolExecutor(
                max_workers=1,
                initializer=_settle,
                initargs=(os.getpid(),),
                env=dict.fromkeys(THREAD_VARIABLES, "1"),
            )
            return self._executor.submit(function, *arguments)

    def end(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            with ends_left_to_this_process():
                executor.shutdown(wait=True, kill_workers=True)
                # What is kept of a process that died by itself has a semaphore.
                multiprocessing.active_children()


def _start_trackers() -> None:
    """Start what tidies up after this process, without its warning that there is something to do.

    A signal may end this process at any moment, and what it then leaves is the trackers' task.
    """
    before = os.environ.get("PYTHONWARNINGS")
    quiet = "ignore:resource_tracker"
    os.environ["PYTHONWARNINGS"] = quiet if not before else f"{before},{quiet}"
    try:
        resource_tracker.ensure_running()
        loky_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


class LokyBackend:
    """Processes on this machine, each of which may die without the others.

    Args:
        jobs: Number of processes.
    """

    ends_workers = True
    poll = None

    def __init__(self, jobs: int) -> None:
        self._workers = [_Process(number) for number in range(jobs)]

    def workers(self) -> Sequence[Worker]:
        """Give the processes."""
        return self._workers

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.end()


def _pass_on(source: Any, outcome: "Future[Any]") -> None:
    error = source.exception()
    if error is None:
        outcome.set_result(source.result())
    elif isinstance(error, _DEATHS):
        outcome.set_exception(WorkerDiedError(str(error)))
    else:
        outcome.set_exception(error)


def _settle(owner: int) -> None:
    """Make a fresh process a good worker; runs in it, first of all."""
    leave_interruptions()
    follow(owner)
    # To loky a process that grows is one that leaks, and it starts another; ours grow because
    # they map statistics and keep what they have computed.
    process_executor._USE_PSUTIL = False
