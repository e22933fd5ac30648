"""The options of ``gp_emq report``, and of all commands that draw a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.cli._options import settings_of
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile, OutputFolder

FIGURES = "figures"
"""Where figures go, within the folder of a run."""


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What the command line asks for: the folder of a run, and where to write."""

    run: Path
    out: Path | None


def read_report(
    program: str,
    description: str,
    output: str,
    given: Sequence[str] | None,
    *,
    kind: OutputFile | OutputFolder,
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
