"""Jobs with accidents, in a module of their own so that worker processes can import them."""

import os
import signal
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gp_emq.errors import GpEmqError

DIES_ONCE, DIES, HANGS, RUNS_OUT, IS_A_BUG, IS_REFUSED = (
    "dies once",
    "dies",
    "hangs",
    "oom",
    "",
    "?",
)


@dataclass(frozen=True)
class Accidents:
    """Squares numbers; items that are words do to their worker what they say."""

    folder: Path

    @property
    def key(self) -> Hashable:
        return self.folder

    def set_up(self) -> list[int]:
        with (self.folder / "set_ups").open("a") as file:
            file.write(f"{os.getpid()} ")
        return []

    def work(self, state: list[int], items: Sequence[int | str]) -> list[tuple[Any, int]]:
        return [(self.result(item), os.getpid()) for item in items]

    def result(self, item: int | str) -> Any:
        if item == DIES or (item == DIES_ONCE and self.is_first_time()):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == HANGS:
            time.sleep(1000)
        if item == RUNS_OUT:
            raise MemoryError
        if item == IS_A_BUG:
            raise ZeroDivisionError("one by nought")
        if item == IS_REFUSED:
            raise GpEmqError("not like this")
        return item * item if isinstance(item, int) else f"did {item}"

    def failed(self, item: int | str, reason: str) -> tuple[Any, int]:
        return f"{item}: {reason}", 0

    def is_first_time(self) -> bool:
        try:
            (self.folder / "once").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True

    def set_ups(self) -> list[str]:
        return (self.folder / "set_ups").read_text().split()


@dataclass(frozen=True)
class Slow(Accidents):
    """Takes its time, so that somebody can come along with a SIGKILL."""

    def result(self, item: int | str) -> Any:
        (self.folder / f"worker-{os.getpid()}").touch()
        time.sleep(0.05)
        return super().result(item)


@dataclass(frozen=True)
class Surroundings(Accidents):
    """Tells what the worker is like."""

    def set_up(self) -> list[int]:
        import torch

        return [torch.get_num_threads()]

    def result(self, item: int | str) -> Any:
        import torch

        # Long enough that no worker can do everything before the others have looked.
        time.sleep(0.05)
        ignores = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        return torch.get_num_threads(), ignores, threading.current_thread().name


@dataclass(frozen=True)
class Stalls(Accidents):
    """Has its worker stall while it gets ready, the first time or always."""

    how: str = "hangs"

    def set_up(self) -> list[int]:
        if self.is_first_time() or self.how.startswith("always"):
            if self.how == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1000)
        return super().set_up()


@dataclass(frozen=True)
class Masks(Accidents):
    """Says which of Ctrl-C and SIGTERM do not get through to the worker."""

    def result(self, item: int | str) -> list[int]:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return sorted(blocked & {signal.SIGINT, signal.SIGTERM})
