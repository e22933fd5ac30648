"""The options of commands that farm work out."""

import argparse

from gp_emq.farm import BACKENDS, FarmSettings, choose_devices
from gp_emq.farm._settings import LARGE, MOST_AUTOMATIC_JOBS, TASK_TIMEOUT
from gp_emq.options import positive, seconds


def add_farm_options(
    group: argparse._ActionsContainer, *, task_timeout: float | None = TASK_TIMEOUT
) -> None:
    """Add ``--jobs``, ``--backend``, ``--scheduler``, ``--devices`` and ``--task-timeout``.

    Args:
        group: A parser, or a group of its options.
        task_timeout: Seconds that a task may take by default; None for any time.
    """
    group.add_argument(
        "--jobs", type=positive, metavar="N",
        help=f"workers (default: one for each GPU; on the CPU none but this process for networks "
        f"of fewer than {LARGE:,} elements, and else one per core, {MOST_AUTOMATIC_JOBS} at most; "
        "with --backend one per core, with --scheduler all there are)",
    )  # fmt: skip
    group.add_argument(
        "--backend", choices=BACKENDS,
        help="what the workers are: threads, of which one that crashes takes the whole run "
        "along; loky: processes of this machine; dask, ray: processes of a cluster (need pip "
        "install gp_emq[dask] or gp_emq[ray]). On the last three a worker that dies, runs out of "
        "memory or hangs costs its tasks only, which are tried again and else recorded as failed "
        "(default: loky where there is more than one worker)",
    )  # fmt: skip
    group.add_argument(
        "--scheduler", metavar="ADDRESS",
        help="dask scheduler or ray cluster whose workers to use, one task at a time each; they "
        "must see the same files (default: dask and ray start N workers of this machine, and "
        "stop them at the end)",
    )  # fmt: skip
    group.add_argument(
        "--devices", default="auto", metavar="LIST",
        help="auto, cpu, or GPUs such as cuda:0,cuda:1 that a machine's workers take turns on "
        "(default: auto, which is all GPUs, or the CPU where there is none or with --scheduler)",
    )  # fmt: skip
    group.add_argument(
        "--task-timeout", type=seconds, default=task_timeout, metavar="SECONDS",
        help="after so long a task, or a worker that gets ready for its first, is taken for hung, "
        "and the worker ended; a thread is left to itself, and another takes its place "
        f"(default: {'never' if task_timeout is None else format(task_timeout, 'g')})",
    )  # fmt: skip


def farm_settings(options: argparse.Namespace) -> FarmSettings:
    """Read the options that `add_farm_options` added.

    Raises:
        GpEmqError: A value is none of those allowed, or two of them contradict each other.
    """
    return FarmSettings(
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
        devices=choose_devices(options.devices, remote=options.scheduler is not None),
        task_timeout=options.task_timeout,
    )
