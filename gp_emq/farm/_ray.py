"""Workers of a ray cluster: one started for the occasion, or one that is there already."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from gp_emq.errors import GpEmqError
from gp_emq.farm._backends import Worker, WorkerDiedError, require
from gp_emq.farm._processes import leave_interruptions

ENVIRONMENT = {
    # Otherwise ray hides the GPUs from whoever has not reserved one; devices are named instead.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "OMP_NUM_THREADS": "1",
}


class _Host:
    """What lives in a worker process of ray."""

    def __init__(self) -> None:
        leave_interruptions()

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        return function(*arguments)


class _Actor:
    """One actor, made when it is first needed, and anew after each end."""

    def __init__(self, ray: Any, number: int) -> None:
        self.number = number
        self._ray = ray
        self._handle: Any = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        if self._handle is None:
            host = self._ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Host)
            self._handle = host.remote()
        outcome: Future[Any] = Future()
        source = self._handle.call.remote(function, arguments).future()
        source.add_done_callback(lambda done: self._pass_on(done, outcome))
        return outcome

    def end(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._ray.kill(handle, no_restart=True)

    def _pass_on(self, source: "Future[Any]", outcome: "Future[Any]") -> None:
        error = source.exception()
        exceptions = self._ray.exceptions
        if error is None:
            outcome.set_result(source.result())
        elif isinstance(error, exceptions.RayTaskError):
            # Ray puts its own report around what the function raised.
            outcome.set_exception(error.cause)
        elif isinstance(error, exceptions.RayError):
            outcome.set_exception(WorkerDiedError(str(error)))
        else:
            outcome.set_exception(error)


class RayBackend:
    """Actors of a ray cluster, each of which may die without the others.

    Args:
        jobs: Number of actors; None for as many as the cluster has processors.
        address: Address of a cluster; None starts one on this machine.

    Raises:
        GpEmqError: The package is missing, or nobody answers at the address.
    """

    ends_workers = True
    poll = None

    def __init__(self, jobs: int | None, address: str | None) -> None:
        self._ray = require("ray", "ray")
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            self._connect(jobs, address)
        count = jobs or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._workers = [_Actor(self._ray, number) for number in range(count)]

    def _connect(self, jobs: int | None, address: str | None) -> None:
        variables = dict(ENVIRONMENT)
        options: dict[str, Any] = {"address": address}
        if address is None:
            # Without an address, one in the environment would be taken.
            options = {"address": "local", "num_cpus": jobs, "include_dashboard": False}
            # Workers import what this process can import, wherever it was found.
            variables["PYTHONPATH"] = os.pathsep.join(
                str(Path(path).resolve()) for path in sys.path
            )
        try:
            self._ray.init(
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                runtime_env={"env_vars": variables},
                **options,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise GpEmqError(
                f"no ray cluster answers at {address!r}; start one with `ray start --head` and "
                "give the address it prints, such as 192.168.0.1:6379"
            ) from error

    def workers(self) -> Sequence[Worker]:
        """Give the actors."""
        return self._workers

    def close(self) -> None:
        """End the actors, and ray itself where it was started here."""
        for worker in self._workers:
            worker.end()
        if self._is_ours:
            self._ray.shutdown()
