"""A search's job whose worker dies once in mid-run."""

import os
import signal
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gp_emq.evolution import Outcome, TableItem, TableJob


@dataclass(frozen=True)
class MortalTables(TableJob):
    """Kills its process before the task that makes so many, unless that happened before."""

    mark: Path = Path()
    tasks: int = 3

    @property
    def key(self) -> Hashable:
        return (*super().key, self.mark)

    def work(self, state: Any, items: Sequence[TableItem]) -> list[Outcome]:
        if (self.mark / "died").exists():
            return super().work(state, items)
        (self.mark / f"{os.getpid()}-{len(list(self.mark.iterdir()))}").touch()
        if len(list(self.mark.iterdir())) >= self.tasks:
            (self.mark / "died").write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(state, items)
