"""One page about a run: `python -m analysis.report RUN`."""

import sys
from collections.abc import Sequence

from gp_emq.cli._report import FIGURES, read_report
from gp_emq.command import run_command
from gp_emq.outputs import OutputFile
from gp_emq.store import RunStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a run."""
    asked = read_report(
        "analysis.report",
        "Write one self-contained HTML page about a run.",
        f"the page (default: RUN/{FIGURES}/report.html)",
        arguments,
        kind=OutputFile((".html", ".htm")),
    )
    with RunStore.open(asked.run, readonly=True) as store:
        from analysis._report import write_report  # noqa: PLC0415 - imports torch and matplotlib

        written = write_report(store, asked.out or asked.run / FIGURES / "report.html")
    sys.stdout.write(f"{written}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
