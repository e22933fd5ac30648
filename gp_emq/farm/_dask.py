"""Workers of a dask cluster: one started for the occasion, or one that is there already."""

import contextlib
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from typing import Any

from gp_emq._signals import ends_left_to_this_process
from gp_emq.errors import GpEmqError
from gp_emq.farm._backends import Worker, WorkerDiedError, require
from gp_emq.farm._local_dask import LocalDask
from gp_emq.farm._processes import kill_this_process

CONNECT = 10.0
"""Seconds to wait for a scheduler to answer."""

PATIENCE = 10.0
"""Seconds after which a worker that should have killed itself is left to its nanny."""


class _DaskWorker:
    """One worker process of the cluster, however many threads it has.

    Tasks are tied to their worker: where dask retries them itself, a poisonous one takes down one
    worker after the other, and others' tasks with them.

    Args:
        client: Of the cluster.
        address: Of the worker.
        number: Which of the workers of its machine it is.
        process: Its process, where that was started here.
    """

    def __init__(self, client: Any, address: str, number: int, process: int | None) -> None:
        self.number = number
        self.address = address
        self.is_ended = False
        self.process = process
        self._client = client
        self._source: Any = None
        self._outcome: Future[Any] = Future()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        outcome: Future[Any] = Future()
        self._outcome = outcome
        self._source = self._client.submit(
            function,
            *arguments,
            key=f"gp_emq-{uuid.uuid4().hex}",
            workers=[self.address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        self._source.add_done_callback(lambda source: _pass_on(source, outcome))
        return outcome

    def lost(self) -> None:
        """Note that the cluster has lost the worker; its nanny starts another."""
        self.is_ended = True
        _conclude(self._outcome, error=WorkerDiedError(f"the cluster lost {self.address}"))
        if self._source is not None:
            self._source.cancel()

    def end(self) -> None:
        """Kill the process; its nanny starts another, without one it is gone for good."""
        if not self.is_ended:
            self.is_ended = True
            threading.Thread(target=self._kill, daemon=True).start()

    def _kill(self) -> None:
        # It may be gone already, or the client closed meanwhile.
        with contextlib.suppress(Exception):
            self._source.cancel()
            if self.process is not None:
                # One that is stopped could not kill itself.
                _kill(self.process)
                return
            # A nanny that is asked for a restart waits for tasks first, and may get stuck.
            self._client.run(kill_this_process, workers=[self.address], wait=False)
            time.sleep(PATIENCE)
            if self.address in self._client.nthreads():
                self._client.restart_workers([self.address], raise_for_error=False)


class DaskBackend:
    """The workers of a dask cluster, each of which may die, and new ones may join.

    Args:
        jobs: Processes to start, or most workers to use of a cluster; None for all it has.
        scheduler: Address of a scheduler; None starts a cluster on this machine.

    Raises:
        GpEmqError: The package is missing, or nobody answers at the address.
    """

    ends_workers = True
    poll = 0.5

    def __init__(self, jobs: int | None, scheduler: str | None) -> None:
        distributed = require("distributed", "dask")
        self._jobs = jobs
        self._local: LocalDask | None = None
        self._workers: dict[str, _DaskWorker] = {}
        if scheduler is None:
            self._local = LocalDask(distributed, jobs or 1)
            scheduler = self._local.scheduler
        try:
            with ends_left_to_this_process():
                self._client = distributed.Client(scheduler, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise GpEmqError(
                f"no dask scheduler answers at {scheduler!r}; start one with `dask scheduler` and "
                "give the address it prints, such as tcp://192.168.0.1:8786"
            ) from error

    def workers(self) -> Sequence[Worker]:
        """Ask the scheduler who is there."""
        present = sorted(self._client.nthreads())
        for address in sorted(set(self._workers) - set(present)):
            self._workers.pop(address).lost()
        for address in present:
            if address not in self._workers and not self._is_enough():
                number = self._free_number(_host(address))
                self._workers[address] = _DaskWorker(
                    self._client, address, number, self._process_of(address)
                )
        if self._local is not None:
            self._local.refill({worker.process for worker in self._workers.values()})
        return self._usable()

    def close(self) -> None:
        """Leave the cluster, and stop it where it was started here."""
        self._client.close()
        if self._local is not None:
            self._local.close()

    def _process_of(self, address: str) -> int | None:
        """Give the process of a worker that was started here."""
        if self._local is None:
            return None
        # It may be gone by now; and there is no process 0 to kill, but a whole group of them.
        known = self._client.scheduler_info()["workers"].get(address)
        return None if known is None else int(known["name"])

    def _usable(self) -> list[_DaskWorker]:
        return [worker for worker in self._workers.values() if not worker.is_ended]

    def _is_enough(self) -> bool:
        return self._jobs is not None and len(self._usable()) >= self._jobs

    def _free_number(self, host: str) -> int:
        """Number the workers of each machine for themselves, so that they share its devices."""
        taken = {w.number for w in self._workers.values() if _host(w.address) == host}
        return next(number for number in range(len(taken) + 1) if number not in taken)


def _kill(process: int) -> None:
    # It may be gone by itself.
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _host(address: str) -> str:
    return address.rsplit(":", 1)[0]


def _pass_on(source: Any, outcome: "Future[Any]") -> None:
    try:
        result = source.result()
    except CancelledError as error:
        # So it is where the worker died with a result that nobody had fetched yet.
        _conclude(outcome, error=WorkerDiedError(str(error)))
    except Exception as error:  # noqa: BLE001 - whatever the task raised
        died = type(error).__name__ == "KilledWorker"
        _conclude(outcome, error=WorkerDiedError(str(error)) if died else error)
    else:
        _conclude(outcome, result=result)


def _conclude(
    outcome: "Future[Any]", *, result: Any = None, error: BaseException | None = None
) -> None:
    """Give a future its outcome unless it has one: a lost worker may be noticed twice."""
    with contextlib.suppress(InvalidStateError):
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)
