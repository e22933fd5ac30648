"""Evolve a proxy on a bench: ``python -m gp_emq.run --gens 100``."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gp_emq import experiment
from gp_emq.cli._run import read_run
from gp_emq.command import resumption, run_command

if TYPE_CHECKING:
    from gp_emq.experiment import Result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, or 130 after Ctrl-C."""
    settings = read_run(list(sys.argv[1:] if arguments is None else arguments))
    configuration, execution = settings.configuration, settings.execution
    result = experiment.run(configuration, execution)
    if not result.completed:
        sys.stderr.write(
            f"{result.reason} after generation {result.generations}; "
            f"{experiment.how_to_resume(result.folder, configuration)}\n"
        )
        return 130
    with resumption(lambda: experiment.how_to_resume(result.folder, configuration)):
        figures = _draw(result, quiet=execution.quiet) if execution.figures else []
    if not execution.quiet:
        from gp_emq.experiment.report import summary_lines  # noqa: PLC0415 - imports torch

        sys.stdout.writelines(f"{line}\n" for line in summary_lines(result, figures))
    return 0


def _draw(result: "Result", *, quiet: bool) -> list[Path]:
    from analysis import make_figures  # noqa: PLC0415 - matplotlib is slow to import

    return list(make_figures(result.folder, quiet=quiet))


if __name__ == "__main__":
    run_command(main)
