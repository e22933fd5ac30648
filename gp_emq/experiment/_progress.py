"""The progress bar of a search."""

import sys

from tqdm import tqdm

from gp_emq.store import GenerationRow


class Progress:
    """One bar per search: a tick per generation, with what a reader wants to know of it.

    Args:
        title: What is being searched.
        total: What the bar is full at.
        done: What is completed already.
        quiet: Whether to show nothing.
        unit: What the bar counts.
        validated: Whether there is a validation tau to show.
    """

    def __init__(
        self,
        title: str,
        total: int,
        *,
        done: int = 0,
        quiet: bool = False,
        unit: str = "gen",
        validated: bool = True,
    ) -> None:
        self._validated = validated
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=title,
            unit=unit,
            disable=quiet,
            file=sys.stderr,
            dynamic_ncols=True,
            leave=True,
        )

    def generation(self, row: GenerationRow, *, before: GenerationRow | None) -> None:
        """Show a completed generation."""
        proposals = row.proposals - (before.proposals if before else 0)
        evaluations = row.evaluations - (before.evaluations if before else 0)
        rejected = sum(row.rejections.values()) / proposals if proposals else 0.0
        rate = evaluations / row.seconds if row.seconds > 0 else 0.0
        self._bar.set_postfix_str(
            f"{self._taus(row)} · "
            f"diversity {row.diversity:.2f} · rejected {rejected:.0%} · {rate:.0f} eval/s",
            refresh=False,
        )
        if row.generation > 0:
            self._bar.update(1)

    def evaluations(self, row: GenerationRow) -> None:
        """Show how far a search of fixed evaluations has come."""
        self._bar.set_postfix_str(self._taus(row), refresh=False)
        self._bar.update(row.evaluations - self._bar.n)

    def _taus(self, row: GenerationRow) -> str:
        validation = f"{row.best_validation:.3f}" if self._validated else "–"
        return f"τ train {row.best_training:.3f} valid {validation}"

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
