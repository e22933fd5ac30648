"""Processes on this machine, by joblib's loky."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from joblib.externals.loky import process_executor  # type: ignore[import-untyped]
from joblib.externals.loky.backend import resource_tracker  # type: ignore[import-untyped]

from gp_emq._signals import interruptions_left_to_this_process
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
        if self._executor is not None:
            source = self._executor.submit(function, *arguments)
        else:
            # The first task starts the process.
            self._executor = process_executor.ProcessPoolExecutor(
                max_workers=1,
                initializer=_settle,
                initargs=(os.getpid(),),
                env=dict.fromkeys(THREAD_VARIABLES, "1"),
            )
            # It lets interruptions through again wherever it starts its own process.
            resource_tracker.ensure_running()
            with interruptions_left_to_this_process():
                source = self._executor.submit(function, *arguments)
        source.add_done_callback(lambda done: _pass_on(done, outcome))
        return outcome

    def end(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, kill_workers=True)


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
