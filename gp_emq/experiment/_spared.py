"""What a run did not measure, since the formula could not win by it."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from gp_emq.store import IndividualRow, RunStore


@dataclass(frozen=True)
class Spared:
    """How much a run did not measure.

    Args:
        formulas: By generation, how many were not measured to their end.
        evaluated: How many formulas were evaluated in all.
        benches: On how many benches their plans were not measured, all formulas together.
        of: How many benches all formulas have together.
    """

    formulas: dict[int, int]
    evaluated: int
    benches: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """Give what a run's summary keeps."""
        return {
            "formulas": sum(self.formulas.values()),
            "evaluated": self.evaluated,
            "benches": self.benches,
            "of": self.of,
        }


def spared_of(store: RunStore) -> Spared:
    """Count what the individuals of a run that were accepted have not measured."""
    rows = store.individuals(accepted_only=True)
    return Spared(
        dict(Counter(row.generation for row in rows if _is_unfinished(row))),
        len(rows),
        sum(one.training_tau is None for row in rows for one in row.benches),
        sum(len(row.benches) for row in rows),
    )


def _is_unfinished(row: IndividualRow) -> bool:
    return any(one.validation_tau is None for one in row.benches)
