"""What a search has seen: canonical forms, failed expressions and tables."""

from bisect import bisect_left, insort

import numpy as np

from gp_emq.evolution import _reasons as reasons
from gp_emq.evolution._objective import FloatArray, Tables, centred
from gp_emq.store import IndividualRow

TABLE_TOLERANCE = 1e-9
"""Centred, scaled tables closer than this in every place are the same table."""


class Archive:
    """Remembers every individual proposed, so that nothing is evaluated twice.

    A canonical form is remembered once an individual of that form was accepted. A rejected
    expression is remembered as it was written: another way of writing the same mathematics may
    well be finite.

    Tables are the same if they are equal on all networks after centring each row, up to one
    non-zero factor that the networks share. They are kept centred and scaled, sorted by one fixed
    projection; equal tables have equal projections up to sign, so a look-up compares a handful.
    """

    def __init__(self) -> None:
        self._accepted: dict[int, IndividualRow] = {}
        self._forms: dict[str, int] = {}
        self._rejected: set[str] = set()
        self._keys: list[tuple[float, int]] = []
        self._shapes: dict[int, tuple[FloatArray, FloatArray]] = {}

    def __getitem__(self, identifier: int) -> IndividualRow:
        """Give the accepted individual of an identifier."""
        return self._accepted[identifier]

    def seen(self, canonical: str) -> int | None:
        """Give the identifier of the accepted individual of a canonical form, if any."""
        return self._forms.get(canonical)

    def is_rejected(self, expression: str) -> bool:
        """Say whether an expression was evaluated before and rejected."""
        return expression in self._rejected

    def same_tables(self, tables: Tables) -> int | None:
        """Give the identifier of the accepted individual with the same tables, if any.

        Args:
            tables: Finite sensitivity tables, (entries, bits) of each network.
        """
        unit, sizes = _shape(tables)
        slack = TABLE_TOLERANCE * np.sqrt(unit.size) * 2
        for candidate in (unit, -unit):
            key = _projection(candidate)
            start = bisect_left(self._keys, (key - slack, -1))
            for value, identifier in self._keys[start:]:
                if value > key + slack:
                    break
                known, known_sizes = self._shapes[identifier]
                if np.abs(known - candidate).max() > TABLE_TOLERANCE:
                    continue
                if np.abs(known_sizes - sizes).max() <= slack:
                    return identifier
        return None

    def remember(self, row: IndividualRow) -> None:
        """Learn from a proposal, made by this search or restored from its store."""
        if row.reason is None:
            self._accepted[row.id] = row
            if row.canonical not in self._forms:
                self._forms[row.canonical] = row.id
                unit, sizes = _shape(row.tables)
                self._shapes[row.id] = unit, sizes
                insort(self._keys, (_projection(unit), row.id))
        elif row.reason == reasons.DUPLICATE:
            same = self.same_tables(row.tables)
            if same is not None:
                self._forms.setdefault(row.canonical, same)
        elif row.reason not in reasons.CHEAP:
            self._rejected.add(row.expression)


def _shape(tables: Tables) -> tuple[FloatArray, FloatArray]:
    """Split tables into what a common factor leaves alone.

    Returns:
        Each network's centred values scaled to unit length, one after the other; and for each
        network the logarithm of its length as a share of the largest.
    """
    units, sizes = zip(*(_unit(table) for table in tables), strict=True)
    lengths = np.array(sizes)
    varies = np.isfinite(lengths)
    shares = np.zeros(len(lengths))
    if varies.any():
        shares[varies] = lengths[varies] - lengths.max()
    return np.concatenate(units), shares


def _unit(table: FloatArray) -> tuple[FloatArray, float]:
    flat = centred(table).ravel()
    # Divided by the largest first, so that squares neither overflow nor vanish.
    largest = float(np.abs(flat).max())
    if largest == 0.0:
        return flat, -np.inf
    flat = flat / largest
    length = float(np.linalg.norm(flat))
    return flat / length, float(np.log(largest) + np.log(length))


def _projection(unit: FloatArray) -> float:
    direction = np.sin(np.arange(1, unit.size + 1) * 12.9898)
    return float(unit @ direction) / float(np.linalg.norm(direction))
