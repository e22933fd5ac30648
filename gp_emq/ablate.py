"""Compare ways to search: ``python -m gp_emq.ablate --config study.toml``."""

import csv
import io
import sys
from collections.abc import Sequence

from gp_emq.cli._ablate import read_ablate
from gp_emq.command import resumption, run_command
from gp_emq.files import atomic_write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, or 130 after Ctrl-C."""
    settings = read_ablate(list(sys.argv[1:] if arguments is None else arguments))
    from gp_emq.ablation import (  # noqa: PLC0415 - imports torch
        carry_out_study,
        comparisons,
        notes_of,
        read_study,
        rows_of,
        table_lines,
    )

    study = read_study(settings.study, settings.primitives)

    def progress(text: str) -> None:
        if not settings.quiet:
            sys.stderr.write(f"{text}\n")

    hint = f"complete searches are kept in {settings.out}: the same command goes on from there"
    with resumption(lambda: hint):
        outcomes = carry_out_study(study, settings.out, farm=settings.farm, progress=progress)
        if outcomes is None:
            sys.stderr.write(f"interrupted; {hint}\n")
            return 130
        rows = list(rows_of(outcomes))
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        atomic_write_text(settings.out / "rows.csv", text.getvalue())
        compared = comparisons(outcomes)
        from analysis.ablation import draw_ablation  # noqa: PLC0415 - matplotlib is slow to import

        figures = draw_ablation(compared, outcomes, settings.out)
    sys.stdout.writelines(f"{line}\n" for line in table_lines(compared))
    sys.stdout.writelines(f"\n{line}" for line in notes_of(outcomes))
    sys.stdout.write(f"\n{settings.out / 'rows.csv'}, {figures[0]} and {figures[1]}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
