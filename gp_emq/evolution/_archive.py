"""What a search has seen: canonical forms, failed expressions and tables."""

from bisect import bisect_left, insort

import numpy as np

from gp_emq.evolution._fitness import centred
from gp_emq.evolution._individual import FloatArray

TABLE_TOLERANCE = 1e-9
"""Centred, scaled tables closer than this in every place are the same table."""


class TableIndex:
    """Finds tables that are equal after centring each row, up to a non-zero factor.

    Tables are centred and scaled to unit length, and kept sorted by one fixed projection; equal
    tables have equal projections up to sign, so a look-up compares a handful.
    """

    def __init__(self) -> None:
        self._keys: list[tuple[float, int]] = []
        self._tables: dict[int, FloatArray] = {}

    def find(self, table: FloatArray) -> int | None:
        """Give the identifier of an equal table, if there is one.

        Args:
            table: Finite sensitivity table, (entries, bits).
        """
        unit = _unit(table)
        for candidate in (unit, -unit):
            key = _projection(candidate)
            slack = TABLE_TOLERANCE * np.sqrt(unit.size) * 2
            start = bisect_left(self._keys, (key - slack, -1))
            for value, identifier in self._keys[start:]:
                if value > key + slack:
                    break
                if np.abs(self._tables[identifier] - candidate).max() <= TABLE_TOLERANCE:
                    return identifier
        return None

    def add(self, identifier: int, table: FloatArray) -> None:
        """Remember a table under an identifier."""
        unit = _unit(table)
        self._tables[identifier] = unit
        insort(self._keys, (_projection(unit), identifier))


def _unit(table: FloatArray) -> FloatArray:
    flat = centred(table).ravel()
    # Divided by the largest first, so that squares neither overflow nor vanish.
    largest = float(np.abs(flat).max())
    if largest == 0.0:
        return flat
    flat = flat / largest
    return flat / float(np.linalg.norm(flat))


def _projection(unit: FloatArray) -> float:
    direction = np.sin(np.arange(1, unit.size + 1) * 12.9898)
    return float(unit @ direction) / float(np.linalg.norm(direction))


class Archive:
    """Remembers every individual proposed, so that nothing is evaluated twice.

    A canonical form is remembered once an individual of that form was accepted. A rejected
    expression is remembered as it was written: another way of writing the same mathematics may
    well be finite.
    """

    def __init__(self) -> None:
        self._accepted: dict[str, int] = {}
        self._rejected: set[str] = set()
        self._tables = TableIndex()

    def seen(self, canonical: str) -> int | None:
        """Give the identifier of the accepted individual of a canonical form, if any."""
        return self._accepted.get(canonical)

    def is_rejected(self, expression: str) -> bool:
        """Say whether an expression was evaluated before and rejected."""
        return expression in self._rejected

    def same_table(self, table: FloatArray) -> int | None:
        """Give the identifier of the accepted individual with the same table, if any."""
        return self._tables.find(table)

    def accept(self, identifier: int, canonical: str, table: FloatArray) -> None:
        """Remember an accepted individual."""
        self._accepted.setdefault(canonical, identifier)
        self._tables.add(identifier, table)

    def reject(self, expression: str) -> None:
        """Remember an expression that the probe or the full table rejected."""
        self._rejected.add(expression)

    def alias(self, identifier: int, canonical: str) -> None:
        """Remember that a canonical form gives the table of an accepted individual."""
        self._accepted.setdefault(canonical, identifier)
