"""The options of ``gp_emq rank``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gp_emq.cli._options import (
    add_inputs,
    add_list,
    add_no_cache,
    add_number,
    add_seed,
    add_workload,
    settings_of,
)
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import list_benches
from gp_emq.options import OptionParser, not_negative
from gp_emq.outputs import OutputFolder
from gp_emq.proxies import ALIGNED, EVOLVED, FORMS
from gp_emq.proxies.handcrafted import DESCRIPTIONS, OF_PLANS
from gp_emq.proxies.shipped import WHOLE, shipped_files
from gp_emq.ranking import FORMATS, SPLITS, RankOptions
from gp_emq.store import read_hall_of_fame


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """What the command line asks for: its options, by name, and those of how to rank as one."""

    bench: tuple[str, ...]
    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    proxies: str
    run: tuple[Path, ...]
    primitives: str | None
    expression: tuple[str, ...]
    how: RankOptions
    protocol: str
    samples: int
    repeats: int
    format: str
    wide: bool
    plot: Path | None
    quiet: bool
    no_cache: bool


def read_rank(given: Sequence[str] | None) -> RankSettings:
    """Read the command line of ``gp_emq.rank``.

    Raises:
        GpEmqError: It is wrong.
    """
    options = _parser().parse_args(given)
    if len(set(options.bench)) < len(options.bench):
        raise GpEmqError(f"--bench names a bench twice: {' '.join(options.bench)}")
    if len(options.bench) > 1 and (
        options.weights or options.data or options.network or options.workload
    ):
        raise GpEmqError(
            "--network, --workload, --weights and --data belong to one bench; rank several "
            "without them"
        )
    return settings_of(RankSettings, options, how=settings_of(RankOptions, options))


def _proxies() -> Iterator[str]:
    for name, (family, description) in DESCRIPTIONS.items():
        yield f"{name:22} {family:11} {description}"
    whole = {name: (EVOLVED, description) for name, (_, description) in WHOLE.items()}
    for name, (family, description) in {**OF_PLANS, **whole}.items():
        yield f"{name:22} {family:11} {description}; named alone, for it takes long"
    for name, path in shipped_files().items():
        yield f"{name:22} {EVOLVED:11} {read_hall_of_fame(path).best.formula}"


@cache
def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m gp_emq.rank",
        description="Measure how well proxies rank the measured bit configurations of a bench. "
        "The result goes to standard output, everything else to standard error.",
    )
    _add_what(parser)
    _add_how(parser)
    _add_shown(parser)
    return parser


def _add_what(parser: OptionParser) -> None:
    what = parser.add_argument_group("what to rank")
    what.add_argument(
        "--bench", nargs="+", default=["digits"], metavar="NAME|FILE",
        help="benches; several give a matrix and a mean rank (default: digits; there are "
        f"{', '.join(list_benches())})",
    )  # fmt: skip
    add_inputs(
        what, "the network of a bench of one's own, which the bench's file cannot run",
        weights="the network's weights, where it needs them", data="its images, likewise",
        metavar="MODULE:FACTORY",
    )  # fmt: skip
    add_workload(what)
    what.add_argument(
        "--proxies", default="all", metavar="all|A,B,...",
        help="proxies (default: all that make a table); --list-proxies shows them, and "
        f"{', '.join([*OF_PLANS, *WHOLE])}, which run whole configurations and take long",
    )  # fmt: skip
    what.add_argument(
        "--run", type=Path, nargs="+", action="extend", default=[], metavar="RUN",
        help="runs, or hall_of_fame.json files, whose recommended formula is ranked too",
    )  # fmt: skip
    what.add_argument(
        "--primitives", metavar="FILE.py",
        help="the primitive set of one's own that the runs were made with",
    )  # fmt: skip
    what.add_argument(
        "--expression", nargs="+", action="extend", default=[], metavar="[NAME=]EXPRESSION",
        help="typed expressions to rank too; the training configurations give their sign",
    )  # fmt: skip


def _add_how(parser: OptionParser) -> None:
    how = parser.add_argument_group("how to rank")
    how.add_argument(
        "--split", choices=SPLITS, default="test", help="which configurations (default: test)"
    )
    how.add_argument(
        "--form", choices=FORMS, default=ALIGNED,
        help="hand-crafted proxies as their papers derive them, or as the public ranking scripts "
        "compute them (default: aligned)",
    )  # fmt: skip
    how.add_argument(
        "--protocol", choices=FORMS, default=ALIGNED,
        help="as-published repeats the whole published procedure: untrained network, published "
        "forms, few configurations drawn with replacement (default: aligned)",
    )  # fmt: skip
    add_number(how, "--samples", "configurations of one published draw", 50)
    add_number(how, "--repeats", "published draws", 100)
    how.add_argument(
        "--calibration-repeats", type=not_negative, default=0, metavar="R",
        help="repeat with R random halves of the calibration batch and other probes",
    )  # fmt: skip
    add_number(how, "--resamples", "bootstrap resamples", 1000)
    add_seed(how)


def _add_shown(parser: OptionParser) -> None:
    show = parser.add_argument_group("what to show")
    show.add_argument(
        "--format", choices=FORMATS, default="table", help="of the result (default: table)"
    )
    show.add_argument(
        "--wide", action="store_true",
        help="all columns of a table, however wide; without it a table fits the terminal (COLUMNS, "
        "where that is set), and has all of them in a file or a pipe",
    )  # fmt: skip
    show.add_argument(
        "--plot", type=OutputFolder(), nargs="?", const=Path("figures"), metavar="FOLDER",
        help="draw scores against accuracy, and a bar chart (default folder: figures)",
    )  # fmt: skip
    show.add_argument("--quiet", action="store_true", help="no progress bar")
    add_list(show, "--list-proxies", _proxies)
    add_no_cache(show)
