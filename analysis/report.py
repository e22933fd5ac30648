"""One page about a run, or several side by side: `python -m analysis.report RUN [RUN ...]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from gp_emq.cli._report import FIGURES, PAGE, read_page
from gp_emq.command import run_command
from gp_emq.store import RunStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a run, or of several."""
    asked = read_page(arguments)
    for folder in asked.run:
        RunStore.open(folder, readonly=True).close()  # what is no run needs no library
    from analysis.reporting import write_report  # noqa: PLC0415 - imports torch

    out = asked.out or (asked.run[0] / FIGURES / PAGE if len(asked.run) == 1 else Path(PAGE))
    written = write_report(asked.run, out, quiet=asked.quiet)
    sys.stdout.write(f"{written}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
