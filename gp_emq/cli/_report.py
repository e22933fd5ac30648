"""The options of ``gp_emq report``, and of all commands that draw a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.cli._options import settings_of
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile, OutputFolder

FIGURES = "figures"
"""Where figures go, within the folder of a run."""
PAGE = "report.html"
"""What a report is called."""


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the command line of a figure asks for: the folder of a run, and where to write."""

    run: Path
    out: Path | None


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What the command line of a report asks for: the folders of runs, and where to write."""

    run: tuple[Path, ...]
    out: Path | None
    quiet: bool


def read_page(given: Sequence[str] | None) -> PageSettings:
    """Read the command line of ``gp_emq report``.

    Args:
        given: The command line; None for that of the process.

    Raises:
        GpEmqError: It is wrong.
    """
    parser = OptionParser(
        prog="python -m analysis.report",
        description="Write one self-contained HTML page about a run, or several side by side. It "
        "opens without a network.",
    )
    parser.add_argument(
        "run", type=Path, nargs="+", metavar="RUN", help="folder of a run, e.g. runs/digits"
    )
    parser.add_argument(
        "--out", type=OutputFile((".html", ".htm")),
        help=f"the page (default: RUN/{FIGURES}/{PAGE}, of several runs {PAGE} here)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return settings_of(PageSettings, parser.parse_args(given))


def read_report(
    program: str,
    description: str,
    output: str,
    given: Sequence[str] | None,
    *,
    kind: OutputFolder,
) -> ReportSettings:
    """Read the command line of a command that takes a run and writes files.

    Args:
        program: Name of the module.
        description: What the command does.
        output: What `--out` names, with its default.
        given: The command line; None for that of the process.
        kind: What `--out` is.

    Raises:
        GpEmqError: It is wrong.
    """
    parser = OptionParser(prog=f"python -m {program}", description=description)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, e.g. runs/digits")
    parser.add_argument("--out", type=kind, help=output)
    return settings_of(ReportSettings, parser.parse_args(given))
