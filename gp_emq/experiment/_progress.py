"""The progress bars of searches."""

import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from tqdm import tqdm

from gp_emq.store import GenerationRow


class Progress(ABC):
    """A bar that is told of each completed generation; a context manager that leaves it as it is.

    Args:
        title: What is being searched.
        total: What the bar is full at.
        quiet: Whether to show nothing.
    """

    unit: str

    def __init__(self, title: str, total: int, *, quiet: bool = False) -> None:
        self._before: GenerationRow | None = None
        self._bar = tqdm(
            total=total,
            desc=title,
            unit=self.unit,
            disable=quiet,
            file=sys.stderr,
            dynamic_ncols=True,
            leave=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def begin(self, row: GenerationRow) -> None:
        """Begin after a generation that was completed before."""
        self._before = row
        self._bar.initial = self._bar.n = self.done(row)
        self._bar.refresh()

    def show(self, row: GenerationRow) -> None:
        """Show a completed generation."""
        self._bar.set_postfix_str(self.text(row), refresh=False)
        self._bar.update(self.done(row) - self._bar.n)
        self._before = row

    @abstractmethod
    def done(self, row: GenerationRow) -> int:
        """How far the bar stands after a generation."""

    def text(self, row: GenerationRow) -> str:
        """What a reader wants to know of a generation."""
        return f"τ train {row.best_training:.3f} valid {row.best_validation:.3f}"


class GenerationProgress(Progress):
    """A tick per generation."""

    unit = "gen"

    def done(self, row: GenerationRow) -> int:
        """The generation."""
        return row.generation

    def text(self, row: GenerationRow) -> str:
        """Taus, diversity, and how much was rejected how fast."""
        before = self._before
        proposals = row.proposals - (before.proposals if before else 0)
        evaluations = row.evaluations - (before.evaluations if before else 0)
        rejected = sum(row.rejections.values()) / proposals if proposals else 0.0
        rate = evaluations / row.seconds if row.seconds > 0 else 0.0
        return (
            f"{super().text(row)} · "
            f"diversity {row.diversity:.2f} · rejected {rejected:.0%} · {rate:.0f} eval/s"
        )


class EvaluationProgress(Progress):
    """A tick per evaluation."""

    unit = "eval"

    def done(self, row: GenerationRow) -> int:
        """The evaluations since the start."""
        return row.evaluations
