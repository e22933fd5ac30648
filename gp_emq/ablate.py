"""Compare ways to search: ``python -m gp_emq.ablate --config study.toml``."""

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.command import resumption, run_command
from gp_emq.farm import FarmSettings, add_farm_options, farm_settings
from gp_emq.files import atomic_write_text
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFolder

DEFAULT_OUT = Path("runs") / "ablation"


@dataclass(frozen=True)
class AblateSettings:
    """What the command line asks for.

    Args:
        study: File of the study.
        out: Folder of the runs, the rows and the plot.
        primitives: Files of primitive sets that the study may name.
        farm: Workers and devices.
        quiet: Whether to say nothing of what is done.
    """

    study: Path
    out: Path
    primitives: tuple[str, ...]
    farm: FarmSettings
    quiet: bool


def read_ablate(given: Sequence[str]) -> AblateSettings:
    """Read the command line.

    Raises:
        GpEmqError: It is wrong.
    """
    parser = OptionParser(
        prog="python -m gp_emq.ablate",
        description="Search with every variant that a study names, over several seeds and with "
        "equal evaluations, rank what is found on the benches that it holds out, and compare. "
        "The same command goes on where it was stopped.",
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help="the study, a TOML file"
    )
    parser.add_argument(
        "--out",
        type=OutputFolder(),
        default=DEFAULT_OUT,
        help="folder of the runs, of rows.csv and of ablation.png (default: %(default)s)",
    )
    parser.add_argument(
        "--primitives",
        nargs="+",
        default=[],
        metavar="FILE",
        help="primitive sets of your own that the study names: a file may name no code unless "
        "the command line does, too",
    )
    add_farm_options(parser.add_argument_group("workers"))
    parser.add_argument("--quiet", action="store_true", help="no word of what is done")
    options = parser.parse_args(given)
    return AblateSettings(
        options.config, options.out, tuple(options.primitives), farm_settings(options),
        options.quiet,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status: 0, or 130 after Ctrl-C.
    """
    settings = read_ablate(list(sys.argv[1:] if arguments is None else arguments))
    from gp_emq.ablation import (  # noqa: PLC0415 - imports torch
        carry_out_study,
        comparisons,
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
    sys.stdout.write(f"\n{settings.out / 'rows.csv'}, {figures[0]} and {figures[1]}\n")
    return 0


if __name__ == "__main__":
    run_command(main)
