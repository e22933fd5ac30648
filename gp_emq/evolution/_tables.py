"""The farm's job of a search: from expressions to screened tables on every network."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.evolution._objective import FloatArray, Tables
from gp_emq.evolution._reasons import FAILED
from gp_emq.evolution._screening import TableScreen
from gp_emq.proxies import DEFAULT_MEMORY, Node, parse_expression
from gp_emq.statistics import open_statistics
from primitives import PrimitiveSet, load_primitive_set


@dataclass(frozen=True)
class Outcome:
    """What screening one expression came to.

    Args:
        tables: The sensitivity tables, not oriented, float64 (entries, bits) of each network; none
            if it was rejected.
        reason: Why it was rejected; None if it passed.
        seconds: What it took.
    """

    tables: Tables
    reason: str | None
    seconds: float


NOT_EVALUATED = Outcome((), None, 0.0)


@dataclass(frozen=True)
class TableJob:
    """Screens expressions on statistics that lie on disk.

    Args:
        primitive_set: Name or path of the primitive set.
        folders: Where the statistics lie, of each network; networks may share a folder.
        probing: Whether to probe (see `TableScreen`).
        device: Where the full tables are computed.
        memory: See `Evaluator`.
    """

    primitive_set: str
    folders: tuple[Path, ...]
    probing: bool = True
    device: str = "cpu"
    memory: int = DEFAULT_MEMORY

    @property
    def key(self) -> Hashable:
        """The arguments: all that the set-up depends on."""
        return (self.primitive_set, self.folders, self.probing, self.device, self.memory)

    def set_up(self) -> tuple[PrimitiveSet, dict[Path, TableScreen]]:
        """Build the primitive set and map the statistics into memory."""
        primitive_set = load_primitive_set(self.primitive_set)
        screens = {
            folder: TableScreen(
                primitive_set,
                open_statistics(folder),
                probing=self.probing,
                device=self.device,
                memory=self.memory,
            )
            for folder in dict.fromkeys(self.folders)
        }
        return primitive_set, screens

    def work(
        self, state: tuple[PrimitiveSet, dict[Path, TableScreen]], items: Sequence[str]
    ) -> list[Outcome]:
        """Screen expressions side by side; their time is shared out evenly.

        What one network rejects is rejected, for the reason of the first that does so, and not
        tried on those after it.
        """
        primitive_set, screens = state
        start = time.perf_counter()
        trees: list[Sequence[Node]] = [parse_expression(item, primitive_set) for item in items]
        reasons: list[str | None] = [None] * len(items)
        found: list[dict[Path, FloatArray]] = [{} for _ in items]
        for folder, screen in screens.items():
            alive = [place for place, reason in enumerate(reasons) if reason is None]
            results = screen.tables([trees[place] for place in alive])
            for place, result in zip(alive, results, strict=True):
                if isinstance(result, str):
                    reasons[place] = result
                else:
                    found[place][folder] = result
        seconds = (time.perf_counter() - start) / max(1, len(items))
        return [
            Outcome(tuple(tables[folder] for folder in self.folders), None, seconds)
            if reason is None
            else Outcome((), reason, seconds)
            for tables, reason in zip(found, reasons, strict=True)
        ]

    def failed(self, item: str, reason: str) -> Outcome:  # noqa: ARG002 - whatever it was
        """Reject an expression whose evaluation was lost again and again."""
        return Outcome((), f"{FAILED}{reason}", 0.0)
