"""How work is farmed out, and what is chosen where nothing is said."""

from dataclasses import dataclass

from gp_emq.errors import GpEmqError

BACKENDS = ("threading", "loky", "dask", "ray")

TASK_TIMEOUT = 600.0
"""Seconds that a task may take unless told otherwise."""

LARGE = 200_000
"""Elements of a statistic from which on processes are faster than none, starting included."""

MOST_AUTOMATIC_JOBS = 8
"""The more workers, the fewer of the subtrees that expressions share are shared."""


@dataclass(frozen=True, kw_only=True)
class FarmSettings:
    """How work is farmed out; it changes no result.

    Args:
        jobs: Number of workers; None for what is fastest, or with a scheduler all there are.
        backend: One of `BACKENDS`; None for what is fastest.
        scheduler: Address of a dask scheduler or a ray cluster; None for workers of this machine.
        devices: Devices that workers take turns on.
        task_timeout: Seconds after which a task, or a worker's getting ready, is taken for hung;
            None for never, but a worker gets ready within ten minutes. A thread cannot be ended:
            one that hangs is left to itself, and another takes its place.

    Raises:
        GpEmqError: A value is none of those allowed, or two of them contradict each other.
    """

    jobs: int | None = None
    backend: str | None = None
    scheduler: str | None = None
    devices: tuple[str, ...] = ("cpu",)
    task_timeout: float | None = TASK_TIMEOUT

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 1:
            raise GpEmqError(f"jobs must be at least 1, got {self.jobs}")
        if self.backend is not None and self.backend not in BACKENDS:
            raise GpEmqError(
                f"unknown back end {self.backend!r}; available are {', '.join(BACKENDS)}"
            )
        if self.scheduler is not None and self.backend in ("threading", "loky"):
            raise GpEmqError(
                f"the back end {self.backend} has no scheduler; dask and ray take --scheduler"
            )
        if self.task_timeout is not None and not self.task_timeout > 0:
            raise GpEmqError(f"the task timeout must be positive, got {self.task_timeout:g}")

    def chosen(self, elements: int) -> tuple[str | None, int | None]:
        """Choose what was left open.

        Args:
            elements: Size of a task's work: elements of the largest statistic.

        Returns:
            The back end, None for none: all is done here, one after the other; and the number
            of workers, None for all that the scheduler has.
        """
        backend = self.backend
        if backend is None and self.scheduler is not None:
            backend = "ray" if self.scheduler.startswith("ray://") else "dask"
        jobs = self.jobs
        if jobs is None and self.scheduler is None:
            jobs = self._fitting_jobs(elements, asked=backend is not None)
        if backend is None and jobs != 1:
            backend = "loky"
        return backend, jobs

    def _fitting_jobs(self, elements: int, *, asked: bool) -> int:
        if self.devices != ("cpu",):
            return len(self.devices)
        if asked:
            return cpu_count()
        return min(cpu_count(), MOST_AUTOMATIC_JOBS) if elements >= LARGE else 1


def cpu_count() -> int:
    """Give the number of cores that this process may use."""
    import joblib  # noqa: PLC0415 - it is slow to import, and --help needs no core

    count: int = joblib.cpu_count()
    return count
