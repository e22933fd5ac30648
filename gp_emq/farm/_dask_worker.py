"""A dask worker of this machine: ``python -m gp_emq.farm._dask_worker SCHEDULER OWNER``."""

import asyncio
import logging
import os
import sys

import distributed

from gp_emq.farm._processes import follow, leave_interruptions

DEATH_TIMEOUT = 60.0
"""Seconds without a scheduler after which a worker ends."""


def main(scheduler: str, owner: int) -> None:
    """Work until the scheduler, or the process that started this one, is gone.

    Args:
        scheduler: Its address.
        owner: The process that started this one.
    """
    leave_interruptions()
    follow(owner)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    asyncio.run(_work(scheduler))


async def _work(scheduler: str) -> None:
    worker = await distributed.Worker(
        scheduler,
        # So the scheduler can tell which process it is.
        name=str(os.getpid()),
        nthreads=1,
        # Mapped statistics would count as memory that a worker uses up.
        memory_limit=0,
        dashboard=False,
        death_timeout=DEATH_TIMEOUT,
    )
    await worker.finished()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
