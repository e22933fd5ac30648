"""The farm on a dask cluster of this machine, beside its simulation."""

import random
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.simulated import Cluster, CostlyJob, SimulatedClock, SimulatedCluster
from gp_emq.farm import Farm
from gp_emq.farm._dask import DaskBackend

WORKERS, SLOWNESS, KILLED_AFTER = 6, 4.0, 4.0


@dataclass(frozen=True)
class SleepingJob:
    """Work that takes the seconds that its items say, and no processor.

    Args:
        slowness: How often longer it takes.
    """

    slowness: float = 1.0

    @property
    def key(self) -> Hashable:
        """All that there is to set up."""
        return self.slowness

    def set_up(self) -> None:
        """Need nothing."""

    def work(self, state: None, items: Sequence[float]) -> list[float]:  # noqa: ARG002
        """Take so long."""
        time.sleep(sum(items) * self.slowness)
        return list(items)

    def failed(self, item: float, reason: str) -> float:  # noqa: ARG002 - whatever it was
        """Count an item that was given up, with a minus."""
        return -item


@dataclass(frozen=True)
class Trial:
    """Some work that is tried.

    Args:
        name: What is tried.
        items: Seconds of each.
        per_task: Items of a task; None for a share for each worker.
        slow: Whether one worker is slow.
        killed: Whether one is killed after some seconds.
    """

    name: str
    items: Sequence[float]
    per_task: int | None = None
    slow: bool = False
    killed: bool = False


def trials() -> list[Trial]:
    """Give what is tried: 120 items of a quarter of a second on average."""
    draw = random.Random("items")
    items = [draw.uniform(0.05, 0.45) for _ in range(120)]
    return [
        Trial("shares", items),
        Trial("one by one", items, per_task=1),
        Trial("shares, one worker slow", items, slow=True),
        Trial("one by one, one worker slow", items, per_task=1, slow=True),
        Trial("five a task, one worker killed", items, per_task=5, killed=True),
    ]


def really(trial: Trial, *, workers: int = WORKERS) -> float:
    """Have it done on a dask cluster of processes; give the seconds from when all are ready."""
    backend = DaskBackend(workers, None)
    jobs = [SleepingJob(SLOWNESS if trial.slow else 1.0), *[SleepingJob()] * (workers - 1)]
    with Farm(jobs, workers=backend) as farm:
        while len(backend.workers()) < workers:
            time.sleep(0.2)
        assert set(farm.map([0.0] * workers)) == {0.0}  # noqa: S101 - all are set up
        start = time.monotonic()
        timer = threading.Timer(KILLED_AFTER, backend.workers()[0].end)
        if trial.killed:
            timer.start()
        results = dict(farm.stream(trial.items, items_per_task=trial.per_task))
        timer.cancel()
        assert [results[place] for place in range(len(trial.items))] == trial.items  # noqa: S101
        return time.monotonic() - start


def on_paper(trial: Trial, like: Cluster) -> float:
    """Simulate the same."""
    clock = SimulatedClock()
    cluster = SimulatedCluster(
        replace(
            like,
            slow=int(trial.slow),
            slowness=SLOWNESS,
            killed=((0, KILLED_AFTER),) if trial.killed else (),
        ),
        clock,
    )
    with Farm([CostlyJob()], workers=cluster, clock=clock) as farm:
        dict(farm.stream(trial.items, items_per_task=trial.per_task))
    return clock.now()


def messages(count: int = 300) -> tuple[float, float]:
    """Measure dask: seconds of a task that takes none, on one worker and on several."""
    nothing = Trial("nothing", [0.0] * count, per_task=1)
    return really(nothing, workers=1) / count, really(nothing) / count


def beside_reality() -> Iterator[str]:
    """Try everything, and give lines of a Markdown table."""
    alone, together = messages()
    like = Cluster(
        workers=WORKERS, message=together, latency=max(0.0, alone - together) / 2, detection=0.5
    )
    yield (
        f"a task that takes no time: {1000 * alone:.1f} ms on one worker, "
        f"{1000 * together:.1f} ms on {WORKERS}"
    )
    yield ""
    yield f"| {WORKERS} workers, {sum(trials()[0].items):.1f} s of work | dask | simulated |"
    yield "|---|---:|---:|"
    for trial in trials():
        yield f"| {trial.name} | {really(trial):.1f} s | {on_paper(trial, like):.1f} s |"
