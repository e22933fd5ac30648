"""Measurements whose worker dies once, in a module of their own so that workers can import it."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from gp_emq.mqbench._jobs import MeasurementJob


@dataclass(frozen=True)
class MortalMeasurements(MeasurementJob):
    """Kills its process before the third configuration, unless that happened before."""

    mark: Path = Path()

    def work(self, state, items):
        self.mark.mkdir(exist_ok=True)
        (self.mark / f"{os.getpid()}-{len(list(self.mark.iterdir()))}").touch()
        if len(list(self.mark.iterdir())) == 3:
            (self.mark / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(state, items)
