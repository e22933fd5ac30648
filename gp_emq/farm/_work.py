"""What a worker does: set a job up once, work, and say when memory ran out."""

import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gp_emq.errors import is_out_of_memory
from gp_emq.farm._job import Job

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_STATES = 2
"""Set-ups that a thread keeps; workers of a cluster may live for many runs."""


@dataclass(frozen=True)
class OutOfMemory:
    """Instead of results: there was not enough memory for them."""


class _Local(threading.local):
    """The jobs that this thread has set up, latest last; no two threads share a state."""

    def __init__(self) -> None:
        self.states: OrderedDict[Hashable, Any] = OrderedDict()


_local = _Local()


def prepare(job: Job[Any, Any]) -> None:
    """Set a job up, so that the time this takes is not taken for that of work."""
    _state(job)


def work(job: Job[Item, Result], items: Sequence[Item]) -> list[Result] | OutOfMemory:
    """Do some items, on one thread of torch, after setting the job up if it is not."""
    try:
        state = _state(job)
        on_one_thread()
        return list(job.work(state, items))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # It may have stopped halfway, and what it holds is needed elsewhere.
        _local.states.pop(job.key, None)
        return OutOfMemory()


def on_one_thread() -> None:
    """Let torch compute on one thread, from here on."""
    # Work that does without torch is spared its import.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _state(job: Job[Any, Any]) -> Any:
    states = _local.states
    if job.key not in states:
        states[job.key] = job.set_up()
    states.move_to_end(job.key)
    while len(states) > MOST_STATES:
        states.popitem(last=False)
    return states[job.key]
