"""A cluster that is simulated: workers, messages and failures of the farm, on a clock of its own.

The farm and its dispatcher are the real ones; only the clock and the back end are replaced.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from gp_emq.farm._backends import Worker, WorkerDiedError
from gp_emq.farm._work import prepare


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What a simulated cluster is like.

    Args:
        workers: How many there are.
        latency: Seconds that a message travels, each way.
        message: Seconds that the one process with the dispatcher takes for a task: to pack it,
            have it scheduled, and unpack what comes back.
        per_item: Seconds that it takes for each item of a task, there and back.
        set_up: Seconds in which a worker opens the statistics.
        slow: How many of the workers are slow.
        slowness: How often longer these take.
        losses: Workers lost per worker and hour.
        killed: Workers that are killed, each with the second in which it is.
        restart: Seconds until another is in the place of a lost one.
        detection: Seconds until the scheduler takes a silent worker for lost.
        seed: Of the losses.
    """

    workers: int = 1
    latency: float = 0.0
    message: float = 0.0
    per_item: float = 0.0
    set_up: float = 0.0
    slow: int = 0
    slowness: float = 1.0
    losses: float = 0.0
    killed: tuple[tuple[int, float], ...] = ()
    restart: float = 30.0
    detection: float = 5.0
    seed: int = 0


@dataclass(frozen=True)
class CostlyJob:
    """A job whose items say how many seconds they take; simulated workers only add these up."""

    @property
    def key(self) -> Hashable:
        """There is one such job."""
        return "costly"

    def set_up(self) -> None:
        """Need nothing."""

    def work(self, state: None, items: Sequence[float]) -> list[float]:  # noqa: ARG002
        """Give the items back."""
        return list(items)

    def failed(self, item: float, reason: str) -> float:  # noqa: ARG002 - whatever it was
        """Count an item that was given up, with a minus."""
        return -item


class SimulatedClock:
    """A clock that jumps to whatever happens next."""

    def __init__(self) -> None:
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def now(self) -> float:
        """Give the seconds since the start."""
        return self._now

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Have something happen at a moment."""
        heapq.heappush(self._events, (moment, next(self._order), event))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and happen what happens in it."""
        self._until(self._now + seconds)

    def wait(
        self, futures: "Mapping[Future[Any], Any]", timeout: float | None
    ) -> "Collection[Future[Any]]":
        """Let time pass until a future is done; give those that are, in the order of `futures`."""
        # A wait in the world ends a little after its limit, and who waits relies on that.
        limit = None if timeout is None else self._now + timeout + 1e-9
        self._until(self._now)
        while not any(future.done() for future in futures):
            if not self._events and limit is None:
                raise RuntimeError("nothing will ever happen: the simulation is stuck")
            if not self._events or (limit is not None and self._events[0][0] > limit):
                self._until(limit if limit is not None else self._now)
                break
            self._until(self._events[0][0])
        return [future for future in futures if future.done()]

    def _until(self, moment: float) -> None:
        while self._events and self._events[0][0] <= moment:
            then, _, event = heapq.heappop(self._events)
            self._now = max(self._now, then)
            event()
        self._now = max(self._now, moment)


@dataclass
class Account:
    """Where time went, in seconds.

    Args:
        worked: By workers, on items that came back.
        lost: By workers, on tasks that did not.
        set_up: By workers, to get ready.
        dispatched: By the process with the dispatcher, for messages.
        tasks: How many there were.
        deaths: How many workers were lost.
    """

    worked: float = 0.0
    lost: float = 0.0
    set_up: float = 0.0
    dispatched: float = 0.0
    tasks: int = 0
    deaths: int = 0
    by_worker: Counter[int] = field(default_factory=Counter)


class _SimulatedWorker:
    """A worker; after its death another of its number takes its place."""

    def __init__(self, cluster: "SimulatedCluster", number: int, birth: float) -> None:
        self.number = number
        rate = cluster.like.losses / 3600
        self._cluster = cluster
        self._begun = birth
        self._outcome: Future[Any] = Future()
        self._outcome.set_result(None)  # it has done nothing yet, and owes nothing
        if rate:
            cluster.clock.at(birth + cluster.fate.expovariate(rate), self.end)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        cluster, like = self._cluster, self._cluster.like
        outcome = Future[Any]()
        items = () if function is prepare else arguments[1]
        cost = like.message + like.per_item * len(items)
        cluster.clock.sleep(cost)
        cluster.account.dispatched += cost
        begun = cluster.clock.now() + like.latency
        takes = sum(items) if items else like.set_up
        takes *= like.slowness if self.number < like.slow else 1.0
        if cluster.present.get(self.number) is not self:  # it died while the task was packed
            self._notice(outcome)
            return outcome
        self._outcome, self._begun = outcome, begun
        cluster.clock.at(
            begun + takes + like.latency,
            lambda: self._finish(outcome, items, takes, is_work=function is not prepare),
        )
        return outcome

    def _finish(
        self, outcome: "Future[Any]", items: Sequence[float], takes: float, *, is_work: bool
    ) -> None:
        if self._cluster.present.get(self.number) is not self:  # it died before
            return
        account = self._cluster.account
        if is_work:
            account.tasks += 1
            account.worked += takes
            account.by_worker[self.number] += 1
            outcome.set_result(list(items))
        else:
            account.set_up += takes
            outcome.set_result(None)

    def end(self) -> None:
        """Be gone; the cluster notices after a while."""
        cluster = self._cluster
        if cluster.present.get(self.number) is not self:
            return
        del cluster.present[self.number]
        now = cluster.clock.now()
        cluster.account.deaths += 1
        if not self._outcome.done():
            cluster.account.lost += max(0.0, now - self._begun)
            self._notice(self._outcome)
        cluster.clock.at(now + cluster.like.restart, lambda: cluster.start(self.number))

    def _notice(self, outcome: "Future[Any]") -> None:
        """Have the scheduler find out, after a while, that what it waits for will never come."""
        died = WorkerDiedError(f"worker {self.number} was lost")
        moment = self._cluster.clock.now() + self._cluster.like.detection
        self._cluster.clock.at(moment, lambda: outcome.set_exception(died))


class SimulatedCluster:
    """A back end of simulated workers.

    Args:
        like: What it is like.
        clock: Its time.
    """

    ends_workers = True
    poll = 0.5

    def __init__(self, like: Cluster, clock: SimulatedClock) -> None:
        self.like, self.clock = like, clock
        self.fate = random.Random(f"losses {like.seed}")
        self.account = Account()
        self.present: dict[int, _SimulatedWorker] = {}
        for number in range(like.workers):
            self.start(number)
        for number, moment in like.killed:
            clock.at(moment, self.present[number].end)

    def start(self, number: int) -> None:
        """Have a worker join."""
        self.present[number] = _SimulatedWorker(self, number, self.clock.now())

    def workers(self) -> Sequence[Worker]:
        """Give the workers that are there."""
        return list(self.present.values())

    def close(self) -> None:
        """Have nothing to end."""
