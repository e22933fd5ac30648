"""The progress bar of a search."""

import sys

from tqdm import tqdm

from gp_emq.store import GenerationRow


class SearchBar:
    """One bar per search, with what a reader wants to know of the latest generation.

    Args:
        title: What is being searched.
        total: What the bar is full at.
        unit: What it counts: ``gen`` or ``eval``.
        before: The generation that was completed before; None at the start.
        quiet: Whether to show nothing.
        validated: Whether there is a validation tau to show.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        unit: str,
        before: GenerationRow | None,
        quiet: bool,
        validated: bool,
    ) -> None:
        self._validated = validated
        self._before = before
        self._unit = unit
        self._bar = tqdm(
            total=total,
            initial=self._done(before) if before else 0,
            desc=title,
            unit=unit,
            disable=quiet,
            file=sys.stderr,
            dynamic_ncols=True,
            leave=True,
        )

    def show(self, row: GenerationRow) -> None:
        """Show a completed generation."""
        before, self._before = self._before, row
        proposals = row.proposals - (before.proposals if before else 0)
        evaluations = row.evaluations - (before.evaluations if before else 0)
        rejected = sum(row.rejections.values()) / proposals if proposals else 0.0
        rate = evaluations / row.seconds if row.seconds > 0 else 0.0
        validation = f"{row.best_validation:.3f}" if self._validated else "–"
        self._bar.set_postfix_str(
            f"τ train {row.best_training:.3f} valid {validation} · "
            f"diversity {row.diversity:.2f} · rejected {rejected:.0%} · {rate:.0f} eval/s",
            refresh=False,
        )
        self._bar.update(self._done(row) - (self._done(before) if before else 0))

    def _done(self, row: GenerationRow) -> int:
        return row.generation if self._unit == "gen" else row.evaluations

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
