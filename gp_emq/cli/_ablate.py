"""The options of ``gp_emq ablate``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gp_emq.cli._farm import add_farm_options, farm_settings
from gp_emq.farm import FarmSettings
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
        "--out", type=OutputFolder(), default=DEFAULT_OUT,
        help="folder of the runs, of rows.csv and of ablation.png (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--primitives", nargs="+", default=[], metavar="FILE",
        help="primitive sets of your own that the study names: a file may name no code unless "
        "the command line does, too",
    )  # fmt: skip
    add_farm_options(parser.add_argument_group("workers"))
    parser.add_argument("--quiet", action="store_true", help="no word of what is done")
    options = parser.parse_args(given)
    return AblateSettings(
        options.config, options.out, tuple(options.primitives), farm_settings(options),
        options.quiet,
    )  # fmt: skip
