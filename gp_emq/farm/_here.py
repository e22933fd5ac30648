"""Back ends within this process: serial, and threads.

Torch is imported late, since worker processes of other back ends import this package too.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from gp_emq.farm._backends import Worker
from gp_emq.farm._work import on_one_thread


class SerialBackend:
    """One worker, which is whoever asks: nothing travels and nothing waits."""

    ends_workers = False
    poll = None
    number = 0

    def workers(self) -> Sequence[Worker]:
        """Give the one worker."""
        return (self,)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Call the function at once."""
        from gp_emq.determinism import one_thread  # noqa: PLC0415

        future: Future[Any] = Future()
        try:
            with one_thread():
                future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - the future raises it where it is looked at
            future.set_exception(error)
        return future

    def end(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Thread:
    """A thread, started when it is first needed, and anew after each end.

    No thread can be ended from outside. One that hangs is left to itself: it is a daemon, which
    does not keep the process from ending, and what it may come to in the end nobody waits for.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            threading.Thread(
                target=_do_all, args=(self._tasks,), name=f"gp_emq-{self.number}", daemon=True
            ).start()
        outcome: Future[Any] = Future()
        self._tasks.put(lambda: _call(outcome, function, arguments))
        return outcome

    def end(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.put(None)


def _do_all(tasks: "queue.SimpleQueue[Callable[[], None] | None]") -> None:
    on_one_thread()
    while (task := tasks.get()) is not None:
        task()


def _call(outcome: "Future[Any]", function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        result = function(*arguments)
    except BaseException as error:  # noqa: BLE001 - the future raises it where it is looked at
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


class ThreadingBackend:
    """Threads of this process: quick to start, but a crash takes all of them along.

    Args:
        jobs: Number of threads.
    """

    ends_workers = True
    poll = None

    def __init__(self, jobs: int) -> None:
        import torch  # noqa: PLC0415

        # Part of torch's setting is shared by all threads, so none may be left to change it.
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._workers = [_Thread(number) for number in range(jobs)]

    def workers(self) -> Sequence[Worker]:
        """Give the threads."""
        return self._workers

    def close(self) -> None:
        """Let the threads end after what they are doing."""
        import torch  # noqa: PLC0415

        for worker in self._workers:
            worker.end()
        torch.set_num_threads(self._threads_before)
