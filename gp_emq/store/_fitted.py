"""A formula with fitted constants, as a run's summary keeps it: no individual of the search."""

from dataclasses import dataclass, replace

import numpy as np

from gp_emq.errors import RunError
from gp_emq.store._rows import BenchRow, IndividualRow


@dataclass(frozen=True)
class FittedBench:
    """What it came to on one bench; see `BenchRow`."""

    bench: str
    training_tau: float
    validation_tau: float
    table: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FittedFormula:
    """What differs from the individual that its constants were fitted of; see `IndividualRow`."""

    expression: str
    canonical: str
    size: int
    depth: int
    training_tau: float
    validation_tau: float
    sign: int
    benches: tuple[FittedBench, ...]

    @classmethod
    def of(cls, row: IndividualRow) -> "FittedFormula":
        """Take what is kept from a row that has a fitness."""
        if row.training_tau is None or row.validation_tau is None or row.sign is None:
            raise ValueError(f"a formula fitted of individual {row.id} has no fitness")
        return cls(
            row.expression,
            row.canonical,
            row.size,
            row.depth,
            row.training_tau,
            row.validation_tau,
            row.sign,
            tuple(
                FittedBench(
                    one.bench,
                    float(one.training_tau or 0.0),
                    float(one.validation_tau or 0.0),
                    tuple(map(tuple, table.tolist())),
                )
                for one, table in zip(row.benches, row.tables, strict=True)
            ),
        )

    def row(self, parent: IndividualRow) -> IndividualRow:
        """Give it as a row, numbered as the individual that it was fitted of.

        Raises:
            RunError: What is kept is damaged.
        """
        try:
            tables = [np.array(one.table, dtype=np.float64) for one in self.benches]
        except ValueError as error:
            raise RunError(
                f"the formula fitted of individual {parent.id} is damaged: a table has rows of "
                "different lengths"
            ) from error
        if self.sign not in (-1, 1):
            raise RunError(
                f"the formula fitted of individual {parent.id} is damaged: its sign is "
                f"{self.sign}, not -1 or 1"
            )
        return replace(
            parent,
            operator="constants",
            parents=(parent.id,),
            expression=self.expression,
            canonical=self.canonical,
            size=self.size,
            depth=self.depth,
            training_tau=self.training_tau,
            validation_tau=self.validation_tau,
            sign=self.sign,
            benches=tuple(
                BenchRow(one.bench, one.training_tau, one.validation_tau, table)
                for one, table in zip(self.benches, tables, strict=True)
            ),
        )
