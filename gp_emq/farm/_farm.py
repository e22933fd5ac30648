"""A farm of joblib workers, each of which sets itself up once for each kind of job."""

import os
import signal
from collections.abc import Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from joblib import Parallel, delayed

from gp_emq.errors import GpEmqError

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)

CHUNKS_PER_JOB = 1
"""How finely a batch is cut; more evens out slow items, fewer share more work within a chunk."""


class Job(Protocol[Item_contra, Result_co]):
    """A kind of work that processes can do: small to send, set up once per process."""

    @property
    def key(self) -> Hashable:
        """What tells this job's set-up from any other's."""

    def set_up(self) -> Any:
        """Load what the work needs, such as memory-mapped statistics."""

    def work(self, state: Any, items: Sequence[Item_contra]) -> Sequence[Result_co]:
        """Do some items; what each comes to depends on nothing but the item."""


class Farm(Generic[Item, Result]):
    """Does the items of a job, here or in worker processes, in the order they were given.

    Args:
        variants: The job, once for each device; chunks of items take turns among them.
        jobs: Number of processes; 1 does everything here, on the first device.

    Raises:
        GpEmqError: ``jobs`` is not positive.
    """

    def __init__(self, variants: Sequence[Job[Item, Result]], *, jobs: int = 1) -> None:
        if jobs < 1:
            raise GpEmqError(f"jobs must be at least 1, got {jobs}")
        self._variants = variants
        self._jobs = jobs

    def map(self, items: Sequence[Item]) -> list[Result]:
        """Do some items.

        Args:
            items: What to do; few bytes each, since they travel.

        Returns:
            The results, in the order of the items.
        """
        if self._jobs == 1 or len(items) < 2:
            return _work_here(self._variants[0], items)
        count = min(len(items), self._jobs * CHUNKS_PER_JOB)
        chunks = [items[start::count] for start in range(count)]
        done: list[list[Result]] = Parallel(n_jobs=self._jobs, backend="loky", batch_size=1)(
            delayed(_work_there)(self._variants[turn % len(self._variants)], chunk, os.getpid())
            for turn, chunk in enumerate(chunks)
        )
        results: list[Result | None] = [None] * len(items)
        for start, chunk_results in enumerate(done):
            results[start::count] = chunk_results
        return results  # type: ignore[return-value]


_states: dict[Hashable, Any] = {}
"""What the jobs of this process have set up."""


def _work_here(job: Job[Item, Result], items: Sequence[Item]) -> list[Result]:
    if job.key not in _states:
        _states[job.key] = job.set_up()
    state = _states[job.key]
    return list(job.work(state, items))


def _work_there(job: Job[Item, Result], items: Sequence[Item], owner: int) -> list[Result]:
    """Work in another process, which leaves Ctrl-C to the process that owns it."""
    if os.getpid() != owner:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return _work_here(job, items)
