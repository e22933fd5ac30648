"""The options of ``python -m gp_emq.quantize``."""

import argparse
from pathlib import Path

from gp_emq.allocation import CALIBRATION_IMAGES
from gp_emq.export import add_export_options
from gp_emq.options import OptionParser, positive, seed
from gp_emq.outputs import OutputFile
from gp_emq.ptq._settings import ROBUST
from gp_emq.ptq._text import FORMATS
from gp_emq.quantization import INPUT_RULES, SCALE_RULES
from gp_emq.quantization.recipes import list_recipes

QAT = "qat"
"""The method that trains; gp_emq.qat has it."""


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command."""
    parser = OptionParser(
        prog="python -m gp_emq.quantize",
        description="Quantize a network as a plan says, evaluate it beside the float network, and "
        "save it. The accuracies go to standard output.",
    )
    what = parser.add_argument_group("plan and network")
    what.add_argument(
        "--plan", type=Path, metavar="FILE", help="what python -m gp_emq.allocate --out wrote"
    )
    what.add_argument(
        "--network", metavar="NAME|MODULE:FACTORY",
        help="a known network, or a function that returns one (default: the plan's)",
    )  # fmt: skip
    what.add_argument("--weights", type=Path, metavar="FILE", help="its weights, if it needs any")
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="its images: those of its data set, or an .npz of x float32 (n,C,H,W) and, if there "
        "are labels, y; without labels the float network's answers count as right",
    )  # fmt: skip
    what.add_argument(
        "--images", type=positive, default=CALIBRATION_IMAGES, metavar="N",
        help=f"calibration images (default: {CALIBRATION_IMAGES})",
    )  # fmt: skip
    what.add_argument(
        "--tests", type=positive, metavar="N", help="test images (default: all there are)"
    )
    what.add_argument("--seed", type=seed, default=0, metavar="N", help="of all draws (default: 0)")
    how = parser.add_argument_group("how to quantize")
    how.add_argument(
        "--method", nargs="+", choices=[*(recipe.name for recipe in list_recipes()), QAT],
        default=["rtn"], metavar="METHOD", help="one or several, see --list-methods (default: rtn)",
    )  # fmt: skip
    how.add_argument(
        "--iterations", type=positive, metavar="N",
        help="steps of learned rounding for each layer or block (default: the method's)",
    )  # fmt: skip
    how.add_argument(
        "--recipe", metavar="NAME",
        help="settings of qat that ship with the package; python -m gp_emq.qat --list-recipes "
        "lists them, and that command takes every setting by itself",
    )  # fmt: skip
    how.add_argument(
        "--epochs", type=positive, metavar="N", help="passes of qat over the training images"
    )
    how.add_argument(
        "--activation-bits", type=positive, default=8, metavar="B",
        help="of the inputs of quantized layers, 32 for float (default: 8)",
    )  # fmt: skip
    how.add_argument(
        "--activation-rule", choices=INPUT_RULES, default=ROBUST,
        help="how the grids of those inputs are chosen from the images: robust spans them but for "
        "outliers, percentile leaves out 0.1 percent on either side, mse has the least squared "
        f"error, minmax spans all, outliers too (default: {ROBUST})",
    )  # fmt: skip
    how.add_argument(
        "--per-tensor", action="store_true",
        help="one scale per weight tensor (default: one per output channel)",
    )  # fmt: skip
    how.add_argument(
        "--scale-rule", choices=SCALE_RULES, default="mse",
        help="how scales of weights are chosen (default: mse, least squared error)",
    )  # fmt: skip
    how.add_argument(
        "--no-cache", action="store_true",
        help="learn rounding anew, and keep nothing to go on from after an interruption",
    )  # fmt: skip
    show = parser.add_argument_group("what to show and write")
    show.add_argument(
        "--out", type=OutputFile(), metavar="FILE",
        help="the quantized network, for one method (default: PLAN-METHOD.safetensors beside the "
        "plan)",
    )  # fmt: skip
    add_export_options(show)
    show.add_argument(
        "--format", choices=FORMATS, default="text", help="of the accuracies (default: text)"
    )
    show.add_argument("--list-methods", action="store_true", help="list the methods and end")
    return parser
