"""Back ends within this process: serial, and threads.

Torch is imported late, since worker processes of other back ends import this package too.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
    def __init__(self, number: int) -> None:
        self.number = number
        self._executor = ThreadPoolExecutor(1, f"gp_emq-{number}", initializer=on_one_thread)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        return self._executor.submit(function, *arguments)

    def end(self) -> None:
        """Do nothing: a thread cannot be ended from outside."""

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


class ThreadingBackend:
    """Threads of this process: quick to start, but a crash or a hang takes all of them along.

    Args:
        jobs: Number of threads.
    """

    ends_workers = False
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
            worker.close()
        torch.set_num_threads(self._threads_before)
