"""The options of ``gp_emq bench``."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gp_emq.cli._farm import add_farm_options, farm_settings
from gp_emq.cli._options import (
    Group,
    add_inputs,
    add_number,
    add_scale_group,
    add_seed,
    add_workload,
    recipes,
    settings_of,
)
from gp_emq.errors import BenchError
from gp_emq.farm import FarmSettings
from gp_emq.options import OptionParser
from gp_emq.outputs import PICTURES, OutputFile, OutputFolder
from gp_emq.quantization import MAX_BITS, MIN_BITS, SCALE_RULES
from gp_emq.zoo_benches import NEIGHBOURS


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """What is measured and how, of the float network and of uniform widths."""

    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    bits: tuple[int, ...]
    test_images: int | None
    seed: int
    protocol: str
    calibration_images: int | None
    iterations: int | None
    scale_rule: str | None
    symmetric: bool | None
    per_channel: bool | None
    scale_group: int | None
    arithmetic: str


@dataclass(frozen=True, kw_only=True)
class Build(Uniform):
    """The same of a bench, and where it goes."""

    configs: int
    configurations: str
    out: Path
    name: str | None
    farm: FarmSettings
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class Extend:
    """Which plans are added to a bench."""

    bench: str
    sources: tuple[str, ...]
    out: Path | None
    neighbours: int
    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    farm: FarmSettings
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class Zoo:
    """Which benches of the zoo are measured, or listed."""

    name: tuple[str, ...]
    list: bool
    out: Path
    farm: FarmSettings
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class Show:
    """Which bench is shown."""

    bench: str
    network: str | None
    workload: str | None
    plot: Path | None


@dataclass(frozen=True, kw_only=True)
class List:
    """How the benches are listed that ship."""

    table: bool


@dataclass(frozen=True, kw_only=True)
class Import:
    """What is read as a bench that was published."""

    file: Path
    out: Path
    name: str | None
    network: str
    test_images: int
    seed: int


BenchSettings = Uniform | Extend | Zoo | Show | List | Import


def read_bench(given: Sequence[str] | None) -> BenchSettings:
    """Read the command line of ``gp_emq.bench``.

    Raises:
        GpEmqError: It is wrong, or its options contradict each other.
    """
    options = _parser().parse_args(given)
    kind: type[BenchSettings] = options.kind
    if (
        issubclass(kind, Uniform | Extend)
        and options.workload is not None
        and (options.network is not None or options.data)
    ):
        raise BenchError("--workload brings network and data along: give it without them")
    if issubclass(kind, Uniform):
        options.bits = _widths(options.bits)
        if options.workload is None and options.network is None:
            raise BenchError("there is no network: give --network or --workload")
    if issubclass(kind, Build | Extend | Zoo):
        listed = issubclass(kind, Zoo) and options.list
        options.farm = FarmSettings() if listed else farm_settings(options)
    return settings_of(kind, options)


@cache
def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m gp_emq.bench",
        description="Benches: bit configurations with the accuracies they really give.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="measure a new bench")
    build.set_defaults(kind=Build)
    _add_measurement(build)
    _add_running(build)
    uniform = commands.add_parser(
        "uniform", help="accuracy of the float network and of uniform widths"
    )
    uniform.set_defaults(kind=Uniform)
    _add_measurement(uniform)
    _add_extend(commands.add_parser("extend", help="add the plans of formulas to a bench"))
    _add_zoo(commands.add_parser("zoo", help="measure the benches of the zoo, one by one"))
    show = commands.add_parser("show", help="what a bench holds and what it can tell")
    show.set_defaults(kind=Show)
    show.add_argument("bench", help="name of a bench, or a bench file")
    show.add_argument(
        "--network", help="package.module:factory of a bench of one's own, for --plot"
    )
    add_workload(show)
    show.add_argument(
        "--plot", type=OutputFile(PICTURES), metavar="FILE",
        help=f"draw accuracy against size ({', '.join(PICTURES)})",
    )  # fmt: skip
    listed = commands.add_parser("list", help="the benches that ship with the package")
    listed.set_defaults(kind=List)
    listed.add_argument(
        "--table", action="store_true", help="what each can tell, as a Markdown table"
    )
    _add_import(commands.add_parser("import", help="read MQ-Bench-101 as it was published"))
    return parser


def _add_measurement(build: argparse.ArgumentParser) -> None:
    what = build.add_argument_group("what is measured")
    add_inputs(what, "registered name, or package.module:factory")
    add_workload(what)
    what.add_argument("--bits", default="2,3,4", help="bit choices (default %(default)s)")
    add_number(what, "--test-images", "how many (default all)")
    add_seed(what)
    how = build.add_argument_group("how it is measured")
    how.add_argument(
        "--protocol", default="rtn+bn",
        help="; ".join(f"{name}: {text}" for name, text, _ in recipes())
        + ", settings of MQ-Bench-101 (default %(default)s)",
    )  # fmt: skip
    add_number(how, "--calibration-images", "instead of the protocol's number")
    add_number(how, "--iterations", "of learned rounding")
    how.add_argument("--scale-rule", choices=SCALE_RULES, help="of the weights")
    how.add_argument("--symmetric", action=argparse.BooleanOptionalAction, help="weights")
    how.add_argument("--per-channel", action=argparse.BooleanOptionalAction, help="weights")
    add_scale_group(how, "(default: all of a channel)")
    how.add_argument(
        "--arithmetic", default="auto",
        help="integer: oneDNN's 8-bit convolution; float; auto: integer where there is one",
    )  # fmt: skip


def _add_running(build: argparse.ArgumentParser) -> None:
    running = build.add_argument_group("running")
    add_number(running, "--configs", "configurations to measure", 425)
    running.add_argument(
        "--configurations", choices=("random", "plans"), default="random",
        help="plans: a third random, a third random in narrow bands of size, and a third plans of "
        "hand-made proxies at many budgets with their neighbours (default %(default)s)",
    )  # fmt: skip
    running.add_argument("--out", type=OutputFile(), required=True, help="the bench file")
    running.add_argument("--name", help="of the bench (default the file's name)")
    _add_farm(running)


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(kind=Import)
    parser.add_argument("file", type=Path, help="the published pickle, or its text form")
    parser.add_argument("--out", type=OutputFile(), required=True, help="the bench file")
    parser.add_argument("--name", help="of the bench (default the file's name)")
    parser.add_argument("--network", default="resnet18", help="(default %(default)s)")
    add_number(parser, "--test-images", "behind its accuracies", 50_000)
    add_seed(parser, "of the split")


def _add_extend(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(kind=Extend)
    parser.add_argument("bench", help="name of a bench, or a bench file")
    parser.add_argument(
        "--from", dest="sources", metavar="RUN|NAME|EXPRESSION", nargs="+", required=True,
        help="formulas whose plans are added: runs, hand-made proxies, expressions",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=OutputFile(), help="the longer bench's file (default the bench file itself)"
    )
    add_number(parser, "--neighbours", "of each plan, by one to three swaps", NEIGHBOURS)
    add_inputs(parser, "that of a bench of one's own", metavar="MODULE:FACTORY")
    add_workload(parser)
    _add_farm(parser)


def _add_zoo(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(kind=Zoo)
    parser.add_argument("name", nargs="*", help="of the benches (default all; --list lists them)")
    parser.add_argument("--list", action="store_true", help="the names, and stop")
    parser.add_argument(
        "--out", type=OutputFolder(), default=Path(), help="folder (default the present one)"
    )
    _add_farm(parser)


def _add_farm(group: Group) -> None:
    add_farm_options(group, task_timeout=None)
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and MIN_BITS <= int(part) <= MAX_BITS for part in parts):
        raise BenchError(
            f"--bits must be widths of {MIN_BITS} to {MAX_BITS} as in 2,3,4, not {text!r}"
        )
    return tuple(sorted({int(part) for part in parts}))
