"""Hands tasks to workers, and keeps at it until each item is done or given up."""

import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tqdm import tqdm

from gp_emq.errors import GpEmqError
from gp_emq.farm._backends import Backend, Worker, WorkerDiedError
from gp_emq.farm._clock import WALL, Clock
from gp_emq.farm._job import Job
from gp_emq.farm._recovery import OUT_OF_MEMORY, TIMED_OUT, WORKER_DIED, Parcel, after_loss
from gp_emq.farm._work import OutOfMemory, prepare, work

Item = TypeVar("Item")
Result = TypeVar("Result")

SET_UP_LIMIT = 600.0
"""Seconds that a worker may take to start and to set a job up, where tasks have no limit."""

LATE_SET_UPS = 6
"""After so many that were too late a worker is given no more, though each may take twice as long
as the one before, up to `SET_UP_LIMIT`: what is slow at first is not what hangs for ever."""

ABSENCE_LIMIT = 60.0
"""Seconds to wait for a worker where a cluster has none."""

LOSSES_IN_A_ROW = 20
"""After so many, with nothing done in between, the items are not to blame."""


@dataclass
class _Assignment:
    """What a worker is doing.

    Args:
        worker: The worker.
        task: What it does; None while it sets up, or once nobody waits for it any more.
        deadline: When it has taken too long, on the monotonic clock; None for never.
    """

    worker: Worker
    task: Parcel | None
    deadline: float | None


class Dispatcher(Generic[Item, Result]):
    """Gives each idle worker a task, and lost ones to others.

    A task that is lost because its worker died, ran out of memory or took too long is cut into
    smaller ones (see `gp_emq.farm._recovery`); what comes back from the others is kept.

    Args:
        variants: The job, once for each device; a machine's workers take turns among them.
        backend: The workers.
        limit: Seconds that a task may take; None for no limit.
        clock: The time it goes by.
    """

    def __init__(
        self,
        variants: Sequence[Job[Item, Result]],
        backend: Backend,
        limit: float | None,
        clock: Clock = WALL,
    ) -> None:
        self._clock = clock
        self._variants = variants
        self._backend = backend
        self._limit = limit if backend.ends_workers else None
        self._busy: dict[Future[Any], _Assignment] = {}
        self._prepared: set[Worker] = set()
        self._latest_loss: dict[Worker, float] = {}
        self._late: Counter[int] = Counter()
        self._losses_in_a_row = 0
        self._absent_since: float | None = None

    def run(
        self, items: Sequence[Item], tasks: Iterable[Parcel]
    ) -> Iterator[tuple[Parcel, Sequence[Result]]]:
        """Have tasks done.

        Args:
            items: What the places of tasks are places in.
            tasks: What to do.

        Yields:
            Tasks, not necessarily those given, and the results of their items; in whatever
            order they are done, each place once.

        Raises:
            GpEmqError: There are no workers, or they die whatever they are given.
        """
        waiting = deque(tasks)
        try:
            while waiting or any(assignment.task for assignment in self._busy.values()):
                self._assign(items, waiting)
                for task, results in self._returned():
                    if isinstance(results, str):
                        again = after_loss(task)
                        waiting.extend(again)
                        if again:
                            continue
                        item = items[task.places[0]]
                        yield task, [self._variants[0].failed(item, results)]
                    else:
                        yield task, results
        finally:
            for assignment in self._busy.values():
                assignment.task = None

    def _assign(self, items: Sequence[Item], waiting: deque[Parcel]) -> None:
        """Give idle workers tasks, or have them set up where there will be a task for them."""
        occupied = {assignment.worker for assignment in self._busy.values()}
        present = self._backend.workers()
        self._check_presence(present)
        usable = [worker for worker in present if self._late[worker.number] < LATE_SET_UPS]
        if present and not usable and not occupied:
            raise GpEmqError(
                f"no worker gets ready: each was ended {LATE_SET_UPS} times, the last time after "
                f"{self._set_up_limit(present[0]):g} s; a longer --task-timeout allows for more"
            )
        idle = [worker for worker in usable if worker not in occupied]
        # Those ready come first, and those that just lost a task last: it is tried elsewhere.
        idle.sort(key=lambda w: (w not in self._prepared, self._latest_loss.get(w, 0.0)))
        setting_up = len(occupied & set(present) - self._prepared)
        for worker in idle:
            job = self._variants[worker.number % len(self._variants)]
            if worker in self._prepared and waiting:
                task = waiting.popleft()
                chosen = [items[place] for place in task.places]
                self._start(worker, worker.submit(work, job, chosen), task, self._limit)
            elif worker not in self._prepared and setting_up < len(waiting):
                setting_up += 1
                self._start(worker, worker.submit(prepare, job), None, self._set_up_limit(worker))

    def _set_up_limit(self, worker: Worker) -> float | None:
        """Give the seconds that a worker may take to start and set up: a task's, at first."""
        if not self._backend.ends_workers:
            return None
        limit = self._limit or SET_UP_LIMIT
        late = min(self._late[worker.number], LATE_SET_UPS - 1)
        return float(min(limit * 2**late, max(limit, SET_UP_LIMIT)))

    def _start(
        self, worker: Worker, future: "Future[Any]", task: Parcel | None, limit: float | None
    ) -> None:
        deadline = None if limit is None else self._clock.now() + limit
        self._busy[future] = _Assignment(worker, task, deadline)

    def _returned(self) -> Iterator[tuple[Parcel, Sequence[Result] | str]]:
        """Wait for something to happen; give results, or why a task was lost."""
        if self._busy:
            done = self._clock.wait(self._busy, self._patience())
        else:
            done = ()
            self._clock.sleep(self._backend.poll or 0.0)
        for future in done:
            yield from self._outcome(self._busy.pop(future), future)
        now = self._clock.now()
        for future, assignment in list(self._busy.items()):
            if assignment.deadline is not None and now > assignment.deadline:
                del self._busy[future]
                self._tell_late(assignment)
                yield from self._lost(assignment, TIMED_OUT)

    def _tell_late(self, assignment: _Assignment) -> None:
        """Say on standard error that a worker is late, and is ended."""
        worker = assignment.worker
        if worker not in self._prepared:
            what = f"was not ready after {self._set_up_limit(worker):g} s"
            self._late[worker.number] += 1
        else:
            what = f"was not done with a task after {self._limit:g} s"
        tqdm.write(f"worker {worker.number} {what}; another takes its place", file=sys.stderr)

    def _outcome(
        self, assignment: _Assignment, future: "Future[Any]"
    ) -> Iterator[tuple[Parcel, Sequence[Result] | str]]:
        try:
            results = future.result()
        except WorkerDiedError:
            yield from self._lost(assignment, WORKER_DIED)
            return
        if isinstance(results, OutOfMemory):
            yield from self._lost(assignment, OUT_OF_MEMORY)
            return
        self._prepared.add(assignment.worker)
        if assignment.task is not None:
            self._losses_in_a_row = 0
            yield assignment.task, results

    def _lost(
        self, assignment: _Assignment, reason: str
    ) -> Iterator[tuple[Parcel, Sequence[Result] | str]]:
        worker = assignment.worker
        self._prepared.discard(worker)
        self._latest_loss[worker] = self._clock.now()
        if reason != OUT_OF_MEMORY:
            worker.end()
        self._losses_in_a_row += 1
        if self._losses_in_a_row >= LOSSES_IN_A_ROW:
            raise GpEmqError(
                f"{self._losses_in_a_row} tasks in a row were lost, the latest because: {reason}; "
                "fewer jobs need less memory, and a task may be allowed more time"
            )
        if assignment.task is not None:
            yield assignment.task, reason

    def _patience(self) -> float | None:
        """Give the seconds until there is something to do even if no future is done."""
        now = self._clock.now()
        limits = [a.deadline - now for a in self._busy.values() if a.deadline]
        if self._backend.poll is not None:
            limits.append(self._backend.poll)
        return max(0.0, min(limits)) if limits else None

    def _check_presence(self, present: Sequence[Worker]) -> None:
        now = self._clock.now()
        if present:
            self._absent_since = None
        elif self._absent_since is None:
            self._absent_since = now
        elif now - self._absent_since > ABSENCE_LIMIT:
            raise GpEmqError(f"the cluster has had no worker for {ABSENCE_LIMIT:.0f} s; add some")
