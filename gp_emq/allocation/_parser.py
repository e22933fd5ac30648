"""The options of ``python -m gp_emq.allocate``."""

import argparse
from pathlib import Path

from gp_emq.allocation._names import AXES, BASELINES, CALIBRATION_IMAGES
from gp_emq.cli._options import add_workload
from gp_emq.networks import ACCOUNTINGS
from gp_emq.options import OptionParser, positive, positive_number, seed
from gp_emq.outputs import OutputFile


def widths_of(text: str) -> tuple[int, ...]:
    """Read widths such as `2,3,4`; they come back rising.

    Raises:
        ArgumentTypeError: The text holds something else.
    """
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be like 2,3,4, got {text!r}") from None


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command."""
    parser = OptionParser(
        prog="python -m gp_emq.allocate",
        description="Choose the bits of every layer so that a proxy's score is highest within "
        "the budgets, exactly. The plan goes to standard output and, with --out, to a file.",
    )
    what = parser.add_argument_group("network and proxy")
    what.add_argument(
        "--network", metavar="NAME|MODULE:FACTORY",
        help="a known network, or a function that returns one, alone or with its input shape "
        "(default: digits)",
    )  # fmt: skip
    add_workload(what)
    what.add_argument("--weights", type=Path, metavar="FILE", help="its weights, if it needs any")
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="its images: those of its data set, or an .npz of x float32 (n,C,H,W) and, if there "
        "are labels, y",
    )  # fmt: skip
    what.add_argument(
        "--images", type=positive, default=CALIBRATION_IMAGES, metavar="N",
        help=f"calibration images (default: {CALIBRATION_IMAGES})",
    )  # fmt: skip
    what.add_argument("--seed", type=seed, default=0, metavar="N", help="of all draws (default: 0)")
    what.add_argument(
        "--proxy", required=True, metavar="NAME|RUN|EXPRESSION",
        help="a hand-crafted proxy, the folder of a run, or a typed expression",
    )  # fmt: skip
    what.add_argument(
        "--primitives", metavar="FILE.py",
        help="the primitive set of one's own that the run was made with",
    )  # fmt: skip
    what.add_argument(
        "--per-tensor", action="store_true",
        help="one scale per weight tensor (default: one per output channel)",
    )  # fmt: skip
    what.add_argument(
        "--no-cache", action="store_true", help="collect statistics anew and keep none on disk"
    )
    _add_budgets(parser)
    _add_choices(parser)
    show = parser.add_argument_group("what to show")
    show.add_argument(
        "--sweep", nargs="?", const="size", choices=tuple(AXES), metavar="|".join(AXES),
        help="the Pareto front from the narrowest to the widest bits, without budgets "
        "(default axis: size)",
    )  # fmt: skip
    show.add_argument(
        "--baselines", default="all", metavar="all|none|A,B,...",
        help=f"what to compare with: any proxy, uniform, random (all: {', '.join(BASELINES)})",
    )  # fmt: skip
    show.add_argument(
        "--out", type=OutputFile(), metavar="FILE",
        help="write the plan as JSON; sweep and figures go beside it",
    )  # fmt: skip
    show.add_argument("--no-plot", action="store_true", help="write no figures")
    return parser


def _add_budgets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("budgets, any together")
    for option, text in (
        ("--size-mib", "size of the weights in MiB (2^20 bytes)"),
        ("--size-mb", "the same in MB (10^6 bytes)"),
        ("--average-bits", "bits per parameter on average"),
        ("--bops-g", "bit operations of one image, in 10^9"),
    ):
        group.add_argument(option, type=positive_number, metavar="X", help=text)
    group.add_argument(
        "--cost", type=Path, action="append", default=[], metavar="FILE.csv",
        help="a cost of your own, lines of layer,bits,cost; with --cost-budget; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--cost-budget",
        type=positive_number,
        action="append",
        default=[],
        metavar="X",
        help="its limit",
    )
    group.add_argument(
        "--accounting", choices=ACCOUNTINGS, default="published",
        help="of sizes: all parameters at the layer's bits, as published, or the bytes of a packed "
        "file (default: published)",
    )  # fmt: skip
    group.add_argument(
        "--activation-bits", type=positive, default=8, metavar="B",
        help="of the inputs of layers, for bit operations (default: 8)",
    )  # fmt: skip


def _add_choices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "layers",
        "A pattern is a layer's name, which counts before those with *, ? and [...]; layers that "
        "are tied or share a weight go together.",
    )
    group.add_argument(
        "--bits", type=widths_of, default=(2, 3, 4), metavar="B,B,...",
        help="bit choices (default: 2,3,4)",
    )  # fmt: skip
    group.add_argument(
        "--choices", action="append", default=[], metavar="PATTERN=B,B",
        help="other bit choices for some layers; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--fix", action="append", default=[], metavar="PATTERN=B", help="fix bits; repeatable"
    )
    group.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="keep layers in float; repeatable",
    )  # fmt: skip
