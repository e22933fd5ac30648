"""The generations of a run as a table that any program reads."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from gp_emq.files import atomic_write_text
from gp_emq.store._rows import GenerationRow

_COLUMNS = (
    "generation",
    "evaluations",
    "proposals",
    "best_training",
    "median_training",
    "best_validation",
    "diversity",
    "seconds",
)


def write_logbook(
    path: Path, generations: Sequence[GenerationRow], spared: Mapping[int, int] | None = None
) -> None:
    """Write one line per generation, with a column for each reason of rejection.

    Args:
        path: the CSV file.
        generations: the rows, in order; taus are Kendall's, counts of evaluations and
            proposals are cumulative, those of rejections are per generation.
        spared: by generation, how many individuals were not measured to their end, since they could
            not win; None for a run that measures all, which has no such column.

    Raises:
        RunError: the file cannot be written.
    """
    reasons = sorted({reason for row in generations for reason in row.rejections})
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    own = () if spared is None else ("not measured to the end",)
    writer.writerow([*_COLUMNS, *own, *(f"rejected: {reason}" for reason in reasons)])
    for row in generations:
        values = [getattr(row, name) for name in _COLUMNS]
        values += [] if spared is None else [spared.get(row.generation, 0)]
        writer.writerow([*values, *(row.rejections.get(reason, 0) for reason in reasons)])
    atomic_write_text(path, text.getvalue())
