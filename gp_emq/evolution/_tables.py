"""The farm's job of a search: from expressions to screened tables."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.evolution._individual import FloatArray
from gp_emq.evolution._reasons import FAILED
from gp_emq.evolution._screening import TableScreen
from gp_emq.proxies import DEFAULT_MEMORY, parse_expression
from gp_emq.statistics import open_statistics
from primitives import PrimitiveSet, load_primitive_set


@dataclass(frozen=True)
class Outcome:
    """What screening one expression came to.

    Args:
        table: The sensitivity table, not oriented, float64 (entries, bits); None if rejected.
        reason: Why it was rejected; None if it passed.
        seconds: What it took.
    """

    table: FloatArray | None
    reason: str | None
    seconds: float


@dataclass(frozen=True)
class TableJob:
    """Screens expressions on statistics that lie on disk.

    Args:
        primitive_set: Name or path of the primitive set.
        folder: Where the statistics lie.
        probing: Whether to probe (see `TableScreen`).
        device: Where the full tables are computed.
        memory: See `Evaluator`.
    """

    primitive_set: str
    folder: Path
    probing: bool = True
    device: str = "cpu"
    memory: int = DEFAULT_MEMORY

    @property
    def key(self) -> Hashable:
        """The arguments: all that the set-up depends on."""
        return (self.primitive_set, self.folder, self.probing, self.device, self.memory)

    def set_up(self) -> tuple[PrimitiveSet, TableScreen]:
        """Build the primitive set and map the statistics into memory."""
        primitive_set = load_primitive_set(self.primitive_set)
        statistics = open_statistics(self.folder)
        return primitive_set, TableScreen(
            primitive_set,
            statistics,
            probing=self.probing,
            device=self.device,
            memory=self.memory,
        )

    def work(self, state: tuple[PrimitiveSet, TableScreen], items: Sequence[str]) -> list[Outcome]:
        """Screen expressions side by side; their time is shared out evenly."""
        primitive_set, screen = state
        start = time.perf_counter()
        results = screen.tables([parse_expression(item, primitive_set) for item in items])
        seconds = (time.perf_counter() - start) / max(1, len(items))
        return [
            Outcome(None, result, seconds)
            if isinstance(result, str)
            else Outcome(result, None, seconds)
            for result in results
        ]

    def failed(self, item: str, reason: str) -> Outcome:  # noqa: ARG002 - whatever it was
        """Reject an expression whose evaluation was lost again and again."""
        return Outcome(None, f"{FAILED}{reason}", 0.0)
