"""The parser of ``gp_emq allocate``: every option and its help."""

import argparse
from functools import cache
from pathlib import Path

from gp_emq.allocation import AXES, BASELINES, CALIBRATION_IMAGES
from gp_emq.cli._options import (
    add_granularity,
    add_inputs,
    add_no_cache,
    add_number,
    add_seed,
    add_workload,
)
from gp_emq.measured import CONTENDERS, DIVERGENCE, HELD_BACK, LEAST_PLANS, LOSSES, REACHES
from gp_emq.networks import ACCOUNTINGS
from gp_emq.options import OptionParser, positive_number, share
from gp_emq.outputs import OutputFile


def widths(text: str) -> tuple[int, ...]:
    """Read widths such as `2,3,4`; they come back rising."""
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be like 2,3,4, got {text!r}") from None


@cache
def make_parser() -> OptionParser:
    """Make the parser of the command."""
    parser = OptionParser(
        prog="python -m gp_emq.allocate",
        description="Choose the bits of every layer so that a proxy's score is highest within "
        "the budgets, exactly. The plan goes to standard output and, with --out, to a file.",
    )
    what = parser.add_argument_group("network and proxy")
    add_inputs(
        what, "a known network, or a function that returns one, alone or with its input shape "
        "(default: digits)",
    )  # fmt: skip
    add_workload(what)
    add_number(what, "--images", "calibration images", CALIBRATION_IMAGES)
    add_seed(what)
    what.add_argument(
        "--proxy", action="append", default=[], metavar="NAME|RUN|EXPRESSION",
        help="a hand-crafted proxy, the folder of a run, or a typed expression; repeatable: the "
        "plans of several race as the group on measuring says, and the one that loses least is "
        f"taken (default: {', '.join(CONTENDERS)}, and sums of two of what these see, less what "
        "would take more than minutes)",
    )  # fmt: skip
    what.add_argument(
        "--table", type=Path, metavar="FILE",
        help="instead of network and proxy: scores that --save-table wrote, which answer every "
        "budget",
    )  # fmt: skip
    what.add_argument(
        "--primitives", metavar="FILE.py",
        help="the primitive set of one's own that the run was made with",
    )  # fmt: skip
    add_granularity(what)
    add_no_cache(what)
    _add_budgets(parser)
    _add_choices(parser)
    show = parser.add_argument_group("what to show")
    show.add_argument(
        "--sweep", nargs="?", const="size", choices=tuple(AXES), metavar="|".join(AXES),
        help="the Pareto front from the narrowest to the widest bits, without budgets "
        "(default axis: size)",
    )  # fmt: skip
    show.add_argument(
        "--from-sweep", type=Path, metavar="FILE",
        help="a sweep that was written before, to --pick from",
    )  # fmt: skip
    add_number(show, "--pick", "take point N of the sweep as the plan, as its table counts them")
    show.add_argument(
        "--baselines", metavar="all|none|A,B,...",
        help=f"what to compare with: any proxy, uniform, random (default: all, which is "
        f"{', '.join(BASELINES)}; or what --table has)",
    )  # fmt: skip
    show.add_argument(
        "--out", type=OutputFile(), metavar="FILE",
        help="write the plan as JSON; sweep and figures go beside it",
    )  # fmt: skip
    for option, text in (
        ("--csv", "the plan as CSV too, one line for each layer"),
        ("--torchao", "it as settings of torchao too (JSON, for config_from_dict; Linear layers)"),
        ("--modelopt", "it as settings of Model-Optimizer too (JSON, for mtq.quantize)"),
    ):
        show.add_argument(option, type=OutputFile(), metavar="FILE", help=text)
    show.add_argument("--no-plot", action="store_true", help="write no figures")
    show.add_argument(
        "--save-table", type=OutputFile(), metavar="FILE",
        help="write the scores, of the baselines too, for --table",
    )  # fmt: skip
    _add_measuring(parser)
    return parser


def _add_budgets(parser: OptionParser) -> None:
    group = parser.add_argument_group("budgets, any together")
    for option, text in (
        ("--size-mib", "size of the weights in MiB (2^20 bytes)"),
        ("--size-mb", "the same in MB (10^6 bytes)"),
        ("--average-bits", "bits per parameter on average"),
        ("--bops-g", "bit operations of one image, in 10^9"),
    ):
        group.add_argument(option, type=positive_number, metavar="X", help=text)
    add_number(
        group, "--size-bytes",
        "bytes of all numbers of the packed file: packed weights, scales, biases, batch norms and "
        "what belongs to no layer; the file has a header beside them", metavar="X",
    )  # fmt: skip
    group.add_argument(
        "--cost", type=Path, action="append", default=[], metavar="FILE.csv",
        help="a cost of your own, lines of layer,bits,cost; with --cost-budget; repeatable",
    )  # fmt: skip
    group.add_argument(
        "--cost-budget", type=positive_number, action="append", default=[], metavar="X",
        help="its limit",
    )  # fmt: skip
    group.add_argument(
        "--latency-table", type=Path, metavar="FILE",
        help="what gp_emq profile wrote of the network; with --latency",
    )  # fmt: skip
    add_number(
        group, "--latency", "milliseconds of one sample, as the sum of the table's predicts them",
        kind=positive_number, metavar="MS",
    )  # fmt: skip
    group.add_argument(
        "--accounting", choices=ACCOUNTINGS, default="published",
        help="of sizes: all parameters at the layer's bits, as published, or the bytes of a packed "
        "file (default: published)",
    )  # fmt: skip
    add_number(
        group, "--activation-bits", "of the inputs of layers, for bit operations and "
        "--activation-kib", 8, metavar="B",
    )  # fmt: skip
    add_number(
        group, "--activation-kib",
        "KiB of the input and the output of any layer together, for one sample; widths of weights "
        "do not change them, so that this holds or is refused", kind=positive_number, metavar="X",
    )  # fmt: skip


def _add_choices(parser: OptionParser) -> None:
    group = parser.add_argument_group(
        "layers",
        "A pattern is a layer's name, which counts before those with *, ? and [...]; layers that "
        "are tied or share a weight go together.",
    )
    group.add_argument(
        "--bits", type=widths, metavar="B,B,...",
        help="bit choices (default: 2,3,4, or the widths of --table)",
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
    group.add_argument(
        "--group", dest="groups", action="append", default=[], metavar="PATTERN,PATTERN",
        help="layers that shall take one width, as q,k,v; repeatable",
    )  # fmt: skip


def _add_measuring(parser: OptionParser) -> None:
    group = parser.add_argument_group(
        "measuring",
        "The plan is really quantized and measured on images that nothing was made by, half of "
        "which choose and half of which confirm. The exit status is 0 where the plan is accepted "
        "and 3 where it loses more than --max-drop.",
    )
    add_number(
        group, "--measure", "look for a better plan by N measurements (100 is a good number)"
    )
    add_number(
        group, "--minutes", "look for one for M minutes; what is found then depends on the machine",
        kind=positive_number, metavar="M",
    )  # fmt: skip
    add_number(
        group, "--calibrate",
        f"correct the proxy's table by N measured plans, {LEAST_PLANS} or more (8, 16, 32)",
    )  # fmt: skip
    group.add_argument(
        "--interactions", choices=REACHES,
        help="measure what pairs of layers lose beyond the sum of both, swapped in the plan, and "
        "plan by these terms, too, where these rank random plans better: pairs of neighbours, or "
        "all, which for n layers of w widths takes n(n-1)/2 (w-1)² measurements",
    )  # fmt: skip
    add_number(
        group, "--measure-images", "images to measure on, beside those of --images", HELD_BACK
    )
    group.add_argument(
        "--measure-loss", choices=LOSSES, default=DIVERGENCE,
        help="what is measured: how far outputs are from the float network's, or the loss on the "
        f"labels (default: {DIVERGENCE})",
    )  # fmt: skip
    group.add_argument(
        "--measure-method", metavar="METHOD",
        help="what will quantize, as for gp_emq.quantize, and by default as there: plans are "
        "measured by it, and formulas see weights as it rounds them",
    )  # fmt: skip
    add_number(
        group, "--max-drop",
        "most of the metric that the plan may lose on the float network, as 0.01 for 1 "
        "percent of top-1", kind=share, metavar="X",
    )  # fmt: skip
