"""What a search has proposed: rows for the store, and what may be learnt from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gp_emq.evolution import _reasons as reasons
from gp_emq.evolution._archive import Archive
from gp_emq.evolution._breeding import Draft
from gp_emq.evolution._individual import FloatArray, Measurement
from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.evolution._screening import depth_of
from gp_emq.proxies import Node, parse_expression
from gp_emq.store import IndividualRow
from primitives import PrimitiveSet

_CHEAP = frozenset({reasons.SIZE, reasons.DEPTH, reasons.NO_STATISTIC, reasons.EQUIVALENT})
"""Reasons that cost no evaluation."""


@dataclass(frozen=True)
class Candidate:
    """A draft as text, on its way through the screens.

    Args:
        place: The place it asks for.
        attempt: How many were rejected for that place before it.
        draft: The tree and where it came from.
        expression: The tree as text.
        canonical: Its canonical form.
        seconds: What making it and the cheap screens took.
    """

    place: int
    attempt: int
    draft: Draft
    expression: str
    canonical: str
    seconds: float


@dataclass(frozen=True)
class Accepted:
    """What is kept of an accepted individual for as long as the search lasts.

    Args:
        expression: Its tree as text.
        canonical: Its canonical form.
        table: Its sensitivity table, not oriented, (entries, bits).
    """

    expression: str
    canonical: str
    table: FloatArray


class Ledger:
    """Numbers the proposals, writes their rows, and remembers what they teach.

    Live rows and rows restored from a store go the same way, so that a resumed search knows
    what an uninterrupted one knows.

    Args:
        primitive_set: The set the trees are made of.
        prioritisation: Told at the end of each generation which trees passed the screen.
    """

    def __init__(self, primitive_set: PrimitiveSet, prioritisation: Prioritisation) -> None:
        self._set = primitive_set
        self._prioritisation = prioritisation
        self._trees: dict[int, list[Node]] = {}
        self._accepted: dict[int, Accepted] = {}
        self.archive = Archive()
        self.rows: list[IndividualRow] = []
        self.generation = -1
        self.next_identifier = 0
        self.proposals = 0

    def begin(self, generation: int) -> None:
        """Start a generation."""
        self.generation = generation
        self.rows = []

    def record(
        self,
        candidate: Candidate,
        *,
        reason: str | None,
        table: FloatArray | None,
        seconds: float,
        measurement: Measurement | None = None,
    ) -> None:
        """Write the row of a proposal.

        Args:
            candidate: The proposal.
            reason: Why it was rejected; None if it was accepted.
            table: Its sensitivity table, where it was computed.
            seconds: What it took, evaluation included.
            measurement: What the fitness function found, if it was accepted.
        """
        row = IndividualRow(
            id=self.next_identifier,
            generation=self.generation,
            place=candidate.place,
            attempt=candidate.attempt,
            operator=candidate.draft.operator,
            parents=candidate.draft.parents,
            expression=candidate.expression,
            canonical=candidate.canonical,
            size=len(candidate.draft.nodes),
            depth=depth_of(candidate.draft.nodes),
            training_tau=measurement.training if measurement else None,
            validation_tau=measurement.validation if measurement else None,
            sign=measurement.sign if measurement else None,
            reason=reason,
            seconds=seconds,
            scores_table=table,
        )
        self._trees[row.id] = candidate.draft.nodes
        self.next_identifier += 1
        self.proposals += 1
        self.rows.append(row)
        self._remember(row)

    def finish(self) -> list[IndividualRow]:
        """End a generation, and give its rows."""
        for row in self.rows:
            self._count(row)
        self._trees.clear()
        return self.rows

    def restore(self, rows: Sequence[IndividualRow], *, generation: int, proposals: int) -> None:
        """Take in the rows of completed generations, in order."""
        for row in rows:
            self._remember(row)
            self._count(row)
        self.next_identifier = rows[-1].id + 1
        self.generation = generation
        self.proposals = proposals

    def accepted(self, identifier: int) -> Accepted:
        """Give what was accepted under an identifier."""
        return self._accepted[identifier]

    def _remember(self, row: IndividualRow) -> None:
        if row.reason is None:
            assert row.scores_table is not None  # noqa: S101 - accepted rows have their table
            self._accepted[row.id] = Accepted(row.expression, row.canonical, row.scores_table)
            if self.archive.seen(row.canonical) is None:
                self.archive.accept(row.id, row.canonical, row.scores_table)
        elif row.reason == reasons.DUPLICATE:
            assert row.scores_table is not None  # noqa: S101 - so have duplicates
            same = self.archive.same_table(row.scores_table)
            if same is not None:
                self.archive.alias(same, row.canonical)
        elif row.reason not in _CHEAP:
            self.archive.reject(row.expression)

    def _count(self, row: IndividualRow) -> None:
        """Tell the prioritisation; at the end of a generation, so that order is no matter."""
        if row.reason in _CHEAP or (row.reason or "").startswith(reasons.FAILED):
            return
        tree = self._trees.get(row.id) or parse_expression(row.expression, self._set)
        self._prioritisation.record(tree, passed=not reasons.blames_operators(row.reason or ""))
