"""The farm's job of a search: from expressions to tables, screened and ranked, on each network."""

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from gp_emq.evolution._objective import Figures, Part, PartSource, Tables
from gp_emq.evolution._reasons import FAILED
from gp_emq.evolution._screening import TableScreen
from gp_emq.proxies import DEFAULT_MEMORY, parse_expression
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
        figures: What ranking each table came to, where that was done with it; otherwise none.
    """

    tables: Tables
    reason: str | None
    seconds: float
    figures: tuple[Figures, ...] = ()


TableItem = tuple[int, str]
"""The place of a folder among the different ones of a job, and an expression."""

NOT_EVALUATED = Outcome((), None, 0.0)


@dataclass(frozen=True)
class _Network:
    """What a worker has of one folder of statistics, and of the networks that lie there."""

    screen: TableScreen
    parts: tuple[Part, ...]
    """What ranks for each of the networks; none where that is not done here."""


@dataclass(frozen=True)
class TableJob:
    """Screens expressions on statistics that lie on disk, and ranks their tables.

    Args:
        primitive_set: Name or path of the primitive set.
        folders: Where the statistics lie, of each network; networks may share a folder.
        probing: Whether to probe (see `TableScreen`).
        device: Where the full tables are computed.
        memory: See `Evaluator`.
        sources: What ranks for each network; none where the search itself does.
        detailed: Whether that gives details, too, which selection will ask for.
    """

    primitive_set: str
    folders: tuple[Path, ...]
    probing: bool = True
    device: str = "cpu"
    memory: int = DEFAULT_MEMORY
    sources: tuple[PartSource, ...] = ()
    detailed: bool = False

    @property
    def key(self) -> Hashable:
        """The arguments that the set-up depends on."""
        return (
            self.primitive_set, self.folders, self.probing, self.device, self.memory, self.sources
        )  # fmt: skip

    def set_up(self) -> tuple[PrimitiveSet, list[_Network]]:
        """Build the primitive set and map the statistics into memory."""
        primitive_set = load_primitive_set(self.primitive_set)
        return primitive_set, [
            self._network(folder, primitive_set) for folder in dict.fromkeys(self.folders)
        ]

    def work(
        self, state: tuple[PrimitiveSet, list[_Network]], items: Sequence[TableItem]
    ) -> list[Outcome]:
        """Screen the expressions of each folder side by side; their time is shared out evenly."""
        primitive_set, networks = state
        outcomes: dict[TableItem, Outcome] = {}
        for place in dict.fromkeys(place for place, _ in items):
            expressions = [expression for own, expression in items if own == place]
            found = self._on(networks[place], expressions, primitive_set)
            outcomes.update(
                ((place, text), one) for text, one in zip(expressions, found, strict=True)
            )
        return [outcomes[item] for item in items]

    def failed(self, item: TableItem, reason: str) -> Outcome:  # noqa: ARG002 - whatever it was
        """Reject an expression whose evaluation was lost again and again."""
        return Outcome((), f"{FAILED}{reason}", 0.0)

    def _network(self, folder: Path, primitive_set: PrimitiveSet) -> _Network:
        statistics = open_statistics(folder)
        screen = TableScreen(
            primitive_set,
            statistics,
            probing=self.probing,
            device=self.device,
            memory=self.memory,
        )
        own = [place for place, other in enumerate(self.folders) if other == folder]
        parts = [self.sources[place].open(statistics) for place in own if self.sources]
        present = tuple(part for part in parts if part is not None)
        return _Network(screen, present if len(present) == len(own) else ())

    def _on(
        self, network: _Network, expressions: Sequence[str], primitive_set: PrimitiveSet
    ) -> list[Outcome]:
        start = time.perf_counter()
        results = network.screen.tables(
            [parse_expression(text, primitive_set) for text in expressions]
        )
        tables = [one for one in results if not isinstance(one, str)]
        figures: Iterator[tuple[Figures, ...]] = repeat(())
        if network.parts:
            figures = zip(
                *(part.figures(tables, detailed=self.detailed) for part in network.parts),
                strict=True,
            )
        seconds = (time.perf_counter() - start) / max(1, len(expressions))
        return [
            Outcome((), one, seconds)
            if isinstance(one, str)
            else Outcome((one,), None, seconds, next(figures))
            for one in results
        ]


@dataclass(frozen=True)
class Tabulation:
    """Evaluates expressions on all networks of a search: what a `Search` evaluates by.

    What one network rejects is rejected, for the reason of the first that does so. Most of what is
    rejected anywhere is so on the first network, so that the others wait for it.

    Args:
        job: The job.
        do: Does its items, such as `Farm.map`.
        side_by_side: Whether the networks after the first are done at once, so that workers share
            them; otherwise none is asked about what one before it rejects.
    """

    job: TableJob
    do: Callable[[Sequence[TableItem]], Sequence[Outcome]]
    side_by_side: bool = False

    def __call__(self, expressions: Sequence[str]) -> list[Outcome]:
        """Evaluate expressions; one outcome each, in their order."""
        folders = list(dict.fromkeys(self.job.folders))
        others = range(1, len(folders))
        found: list[list[Outcome]] = [[] for _ in expressions]
        alive = list(range(len(expressions)))
        for stage in ([0], *([others] if self.side_by_side else ([place] for place in others))):
            items = [(folder, expressions[place]) for folder in stage for place in alive]
            for place, outcome in zip(alive * len(stage), self.do(items), strict=True):
                found[place].append(outcome)
            alive = [place for place in alive if all(one.reason is None for one in found[place])]
        ways = [folders.index(folder) for folder in self.job.folders]
        return [_together(outcomes, ways) for outcomes in found]


def _together(outcomes: Sequence[Outcome], folders: Sequence[int]) -> Outcome:
    """Put together what an expression came to in each folder.

    Args:
        outcomes: Of each folder, up to one that rejects it at least.
        folders: The place of each network's folder.
    """
    seconds = sum(one.seconds for one in outcomes)
    reasons = (one.reason for one in outcomes if one.reason is not None)
    reason = next(reasons, None)
    if reason is not None:
        return Outcome((), reason, seconds)
    tables = tuple(outcomes[folder].tables[0] for folder in folders)
    figures = tuple(
        found[folders[:network].count(folder)]
        for network, folder in enumerate(folders)
        if (found := outcomes[folder].figures)
    )
    return Outcome(tables, None, seconds, figures if len(figures) == len(tables) else ())
