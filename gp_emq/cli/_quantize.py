"""The options of ``gp_emq quantize``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gp_emq.allocation import CALIBRATION_IMAGES
from gp_emq.cli._options import (
    OWN_IMAGES,
    add_granularity,
    add_inputs,
    add_list,
    add_no_cache,
    add_number,
    add_seed,
    add_workload,
    recipes,
    settings_of,
)
from gp_emq.errors import QuantizationError
from gp_emq.files import shortened
from gp_emq.options import OptionParser
from gp_emq.outputs import OutputFile
from gp_emq.quantization import INPUT_RULES, ROBUST, SCALE_RULES

QAT = "qat"
"""The method that trains; gp_emq.qat has it."""


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """What the command line asks for: its options, by name."""

    plan: Path
    network: str | None
    workload: str | None
    weights: Path | None
    data: tuple[Path, ...]
    images: int
    tests: int | None
    seed: int
    method: tuple[str, ...]
    iterations: int | None
    recipe: str | None
    epochs: int | None
    activation_bits: int
    activation_rule: str
    per_tensor: bool
    scale_group: int | None
    scale_rule: str
    no_cache: bool
    out: Path | None
    packed: Path | None
    onnx: Path | None
    format: str

    @property
    def learns(self) -> bool:
        """Whether a method learns rounding."""
        return any(steps for name, _, steps in _methods() if name in self.method)


def read_quantize(given: Sequence[str] | None) -> QuantizeSettings:
    """Read the command line of ``gp_emq.quantize``.

    Raises:
        GpEmqError: It is wrong, or its options contradict each other.
    """
    options = make_parser().parse_args(given)
    if options.plan is None:
        raise QuantizationError("--plan is missing: give what python -m gp_emq.allocate wrote")
    methods = list(dict.fromkeys(options.method))
    settings = settings_of(QuantizeSettings, options, method=methods)
    for option in ("out", "packed", "onnx"):
        if getattr(settings, option) is not None and len(methods) > 1:
            raise QuantizationError(
                f"--{option} names one file: give one --method, or leave it out"
            )
    if methods:
        _check_iterations(settings)
    if settings.workload is not None:
        if settings.network is not None or settings.data:
            raise QuantizationError(
                "--workload brings network and data along: give it without them"
            )
        if QAT in methods:
            raise QuantizationError(
                "a workload does not say which samples to train on: python -m gp_emq.qat "
                "--workload trains on all of them"
            )
    for option in ("recipe", "epochs"):
        if getattr(settings, option) is not None and QAT not in methods:
            raise QuantizationError(f"--{option} is for the method {QAT}")
    return settings


def with_planned_method(settings: QuantizeSettings, planned: str | None) -> QuantizeSettings:
    """Take the method that the plan was made for, where none is asked for.

    Args:
        settings: What the command line asks for.
        planned: What the plan says; None where it was made for none.

    Raises:
        QuantizationError: There is no such method, or it learns nothing and takes no iterations.
    """
    if not settings.method and planned is not None:
        known = [name for name, _, _ in recipes()]
        if planned not in known:
            raise QuantizationError(
                f"{settings.plan} was made for the method {shortened(planned)}, and there is none: "
                f"give --method, one of {', '.join(known)}"
            )
        settings = replace(settings, method=(planned,))
    _check_iterations(settings)
    return settings


def _check_iterations(settings: QuantizeSettings) -> None:
    if settings.iterations is not None and not settings.learns:
        raise QuantizationError(
            "--iterations is for methods that learn rounding, not "
            f"{', '.join(settings.method) or 'the default one'}"
        )


def _methods() -> list[tuple[str, str, int]]:
    """Give name, description and steps of learning of each method, the quick ones first."""
    trained = "training with learned step sizes, from rounding to nearest; resumes by epoch"
    return [*recipes(), (QAT, trained, 0)]


def _lines() -> Iterator[str]:
    for name, description, steps in _methods():
        yield f"{name:17} {description}" + (f" ({steps:,} iterations)" if steps else "")


@cache
def make_parser() -> OptionParser:
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
    add_inputs(
        what, "a known network, or a function that returns one (default: the plan's)",
        data=f"{OWN_IMAGES}; without labels the float network's answers count as right",
    )  # fmt: skip
    add_workload(what)
    add_number(what, "--images", "calibration images", CALIBRATION_IMAGES)
    add_number(what, "--tests", "test images (default: all there are)")
    add_seed(what)
    how = parser.add_argument_group("how to quantize")
    how.add_argument(
        "--method", nargs="+", choices=[name for name, _, _ in _methods()],
        default=[], metavar="METHOD", help="one or several, see --list-methods (default: "
        "that of --measure-method, if the plan was made for one, else rtn+bn-correction, or "
        "rtn+bias-correction where there is no batch norm)",
    )  # fmt: skip
    add_number(
        how, "--iterations",
        "steps of learned rounding for each layer or block (default: the method's)",
    )  # fmt: skip
    how.add_argument(
        "--recipe", metavar="NAME",
        help="settings of qat that ship with the package; python -m gp_emq.qat --list-recipes "
        "lists them, and that command takes every setting by itself",
    )  # fmt: skip
    add_number(how, "--epochs", "passes of qat over the training images")
    add_number(
        how, "--activation-bits", "of the inputs of quantized layers, 32 for float", 8, metavar="B"
    )
    how.add_argument(
        "--activation-rule", choices=INPUT_RULES, default=ROBUST,
        help="how the grids of those inputs are chosen from the images: robust spans them but for "
        "outliers, percentile leaves out 0.1 percent on either side, mse has the least squared "
        f"error, minmax spans all, outliers too (default: {ROBUST})",
    )  # fmt: skip
    add_granularity(how, "the groups of the plan, or else one per output channel")
    how.add_argument(
        "--scale-rule", choices=SCALE_RULES, default="mse",
        help="how scales of weights are chosen (default: mse, least squared error)",
    )  # fmt: skip
    add_no_cache(how, "learn rounding anew, and keep nothing to go on from after an interruption")
    show = parser.add_argument_group("what to show and write")
    show.add_argument(
        "--out", type=OutputFile(), metavar="FILE",
        help="the quantized network, for one method (default: PLAN-METHOD.safetensors beside the "
        "plan)",
    )  # fmt: skip
    show.add_argument(
        "--packed", type=OutputFile(), metavar="FILE.safetensors",
        help="write it once more, and say what is stored of each layer; see docs/export.md",
    )  # fmt: skip
    show.add_argument(
        "--onnx", type=OutputFile(), metavar="FILE.onnx",
        help="also write it as an ONNX graph with quantizing and dequantizing nodes (needs pip "
        "install gp_emq[onnx])",
    )  # fmt: skip
    show.add_argument(
        "--format", choices=("text", "json"), default="text",
        help="of the accuracies (default: text)",
    )  # fmt: skip
    add_list(show, "--list-methods", _lines)
    return parser
