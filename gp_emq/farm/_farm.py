"""A farm of workers, each of which sets itself up once for each kind of job."""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from gp_emq.farm._backends import Backend
from gp_emq.farm._clock import WALL, Clock
from gp_emq.farm._dask import DaskBackend
from gp_emq.farm._dispatch import Dispatcher
from gp_emq.farm._here import SerialBackend, ThreadingBackend
from gp_emq.farm._job import Job
from gp_emq.farm._loky import LokyBackend
from gp_emq.farm._ray import RayBackend
from gp_emq.farm._recovery import Parcel, cut
from gp_emq.farm._settings import TASK_TIMEOUT, FarmSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class Farm(Generic[Item, Result]):
    """Does the items of a job, here or by workers, in the order they were given.

    What an item comes to depends on nothing but the item, so the results are the same for any
    number of workers of any kind. On loky, dask and ray a worker that dies, runs out of memory or
    takes too long costs its tasks only: their items are tried again elsewhere, in smaller tasks
    and finally each alone, and then given to the job's ``failed``. So it is on threads, but that
    a crash is everybody's; with one job and no back end asked for, nothing has a time limit either.

    Workers are started by the first items; a farm is a context manager that ends them.

    Args:
        variants: The job, once for each device; workers take turns among them.
        jobs: Number of workers; None for all that the scheduler has.
        backend: ``threading``, ``loky``, ``dask`` or ``ray``; None for loky, or for no workers at
            all where one job is enough.
        scheduler: Address of a dask scheduler or a ray cluster; None for workers of this machine.
        task_timeout: Seconds after which a task is taken for hung; None for never.
        share: Shares items out among so many workers, as places by worker; None takes turns. It
            changes no result.
        workers: A back end that is there already, such as a simulated one, in place of those above.
        clock: The time that the farm goes by.

    Raises:
        GpEmqError: A value is none of those allowed, or two of them contradict each other.
    """

    def __init__(
        self,
        variants: Sequence[Job[Item, Result]],
        *,
        jobs: int | None = 1,
        backend: str | None = None,
        scheduler: str | None = None,
        task_timeout: float | None = TASK_TIMEOUT,
        share: Callable[[Sequence[Item], int], Sequence[tuple[int, ...]]] | None = None,
        workers: Backend | None = None,
        clock: Clock = WALL,
    ) -> None:
        settings = FarmSettings(
            jobs=jobs, backend=backend, scheduler=scheduler, task_timeout=task_timeout
        )
        self._variants = variants
        self._backend_name, self._jobs = settings.chosen(0)
        self._scheduler = scheduler
        self._limit = task_timeout
        self._share = share
        self._given, self._clock = workers, clock
        self._open: tuple[Backend, Dispatcher[Item, Result]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def map(self, items: Sequence[Item]) -> list[Result]:
        """Do some items.

        Args:
            items: What to do; few bytes each, since they travel.

        Returns:
            The results, in the order of the items.

        Raises:
            GpEmqError: The workers cannot be had, or die whatever they are given.
        """
        results = dict(self.stream(items))
        return [results[place] for place in range(len(items))]

    def stream(
        self, items: Sequence[Item], *, items_per_task: int | None = None
    ) -> Iterator[tuple[int, Result]]:
        """Do some items, and give each result as soon as it is there.

        Args:
            items: What to do; few bytes each, since they travel.
            items_per_task: How many items a worker gets at a time; None shares all of them out
                at once, so that work common to several is done least often.

        Yields:
            An item's place among the items, and its result.

        Raises:
            GpEmqError: The workers cannot be had, or die whatever they are given.
        """
        if not items:
            return
        backend, dispatcher = self._opened()
        for task, results in dispatcher.run(items, self._tasks(items, backend, items_per_task)):
            yield from zip(task.places, results, strict=True)

    def _tasks(
        self, items: Sequence[Item], backend: Backend, items_per_task: int | None
    ) -> list[Parcel]:
        if items_per_task is not None:
            return cut(range(len(items)), -(-len(items) // items_per_task))
        pieces = max(1, self._jobs or 0, len(backend.workers()))
        if self._share is None or pieces == 1:
            return cut(range(len(items)), pieces)
        return [Parcel(places) for places in self._share(items, pieces)]

    def close(self) -> None:
        """End the workers; the next items would start them again."""
        opened, self._open = self._open, None
        if opened is not None:
            opened[0].close()

    def _opened(self) -> tuple[Backend, Dispatcher[Item, Result]]:
        if self._open is None:
            backend = self._given or _make_backend(self._backend_name, self._jobs, self._scheduler)
            dispatcher = Dispatcher(self._variants, backend, self._limit, self._clock)
            self._open = backend, dispatcher
        return self._open


def _make_backend(name: str | None, jobs: int | None, scheduler: str | None) -> Backend:
    if name == "dask":
        return DaskBackend(jobs, scheduler)
    if name == "ray":
        return RayBackend(jobs, scheduler)
    if name == "loky":
        return LokyBackend(jobs or 1)
    if name == "threading":
        return ThreadingBackend(jobs or 1)
    return SerialBackend()
