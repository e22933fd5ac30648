"""The options of ``gp_emq qat``."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path

from gp_emq.cli._options import (
    OWN_IMAGES,
    add_inputs,
    add_list,
    add_number,
    add_workload,
    settings_of,
)
from gp_emq.errors import TrainingError
from gp_emq.options import OptionParser, not_negative, options_from_file, seed
from gp_emq.outputs import OutputFolder
from gp_emq.qat import NO_NETWORK, PRECISIONS, RECIPES, QatSettings, TrainSettings, find_recipe

_DEFAULTS = QatSettings()
_PLANNED = "plan"

_SETTINGS: dict[str, tuple[type, str, str]] = {
    "epochs": (int, "N", "passes over the training images"),
    "batch": (int, "N", "images of one step, over all processes"),
    "learning_rate": (float, "X", "the highest; it falls along a cosine"),
    "step_learning_rate": (float, "X", "of step sizes (default: that of weights)"),
    "momentum": (float, "X", "of the descent"),
    "weight_decay": (float, "X", "half of it at 3 bits, a quarter at 2"),
    "warm_up": (float, "EPOCHS", "in which the learning rate rises"),
    "label_smoothing": (float, "X", "share of the target spread over all classes"),
    "distillation": (float, "X", "share of the loss that is the distance to the float outputs"),
    "temperature": (float, "X", "of distillation"),
    "activation_bits": (int, "B", "of the inputs of layers (default: as the plan counted, or 8)"),
    "seed": (int, "N", "of all draws"),
    "threads": (int, "N", "of torch on a processor; a result belongs to their number"),
    "workers": (int, "N", "processes that load images"),
}
"""Type, placeholder and help of the options that are fields of `QatSettings`."""


def read_qat(given: Sequence[str]) -> TrainSettings:
    """Read the command line of ``gp_emq.qat``, over the file of ``--config``, over the recipe.

    Raises:
        GpEmqError: It is wrong, a value is out of range, or a file does not read.
    """
    finder = OptionParser(add_help=False)
    finder.add_argument("--recipe")
    name = finder.parse_known_args(list(given))[0].recipe
    recipe = options_from_file(["--config", str(find_recipe(name).path)]) if name else []
    options = _parser().parse_args([*recipe, *options_from_file(given), *given])
    known = {field.name: getattr(options, field.name) for field in fields(QatSettings)}
    training = QatSettings(**{key: value for key, value in known.items() if value is not None})
    if options.plan is None and options.bits is None:
        raise TrainingError("no widths: give --plan, or --bits for one width everywhere")
    if options.workload is not None and (options.network or options.data or options.test_data):
        raise TrainingError("--workload brings network and data along: give it without them")
    if options.test_workload is not None and options.workload is None:
        raise TrainingError("--test-workload is for training on a --workload")
    if options.plan is None and options.network is None and options.workload is None:
        raise TrainingError(NO_NETWORK)
    return settings_of(TrainSettings, options, training=training)


@cache
def _parser() -> OptionParser:
    parser = OptionParser(
        prog="python -m gp_emq.qat",
        description="Train a network while it is quantized as a plan says, with learned step "
        "sizes (LSQ). Started again with the same options, it goes on where it stopped; under "
        "torchrun, all processes train together.",
    )
    what = parser.add_argument_group("what to train")
    plan = what.add_mutually_exclusive_group()
    plan.add_argument("--plan", type=Path, metavar="FILE", help="a plan of gp_emq.allocate")
    add_number(plan, "--bits", "one width for all layers instead", metavar="B")
    add_inputs(
        what, "a known network, or a function that returns one (default: the plan's)",
        data=OWN_IMAGES.replace("data set,", "data set, for ImageNet the folder of train and val;"),
    )  # fmt: skip
    add_workload(what)
    what.add_argument(
        "--test-workload", metavar="MODULE:FUNCTION",
        help="a function that returns a workload to evaluate on (default: none)",
    )  # fmt: skip
    what.add_argument(
        "--test-data", type=Path, metavar="FILE.npz",
        help="such a file to evaluate on (default: the data set's test images)",
    )  # fmt: skip
    add_number(what, "--images", "calibration images for the first step sizes", 512)
    _add_settings(parser)
    where = parser.add_argument_group("where, and from what")
    where.add_argument(
        "--out", type=OutputFolder(), metavar="FOLDER",
        help="checkpoint, log and result (default: a name made of the plan's)",
    )  # fmt: skip
    where.add_argument(
        "--device", default="auto", metavar="NAME",
        help="auto for a GPU where there is one (default), cuda, or cpu",
    )  # fmt: skip
    where.add_argument("--recipe", metavar="NAME", help="settings that ship with the package")
    where.add_argument(
        "--config", type=Path, metavar="FILE.toml",
        help="read any of these options from a file; it wins over the recipe, and the command "
        "line over both",
    )  # fmt: skip
    add_list(where, "--list-recipes", _recipe_lines)
    where.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to train")
    for name, (kind, placeholder, text) in _SETTINGS.items():
        default = None if name == "activation_bits" else getattr(_DEFAULTS, name)
        shown = "" if default is None else f" (default: {default})"
        reader = seed if name == "seed" else not_negative if kind is int else kind
        group.add_argument(
            f"--{name.replace('_', '-')}", type=reader, default=default, metavar=placeholder,
            help=text + shown,
        )  # fmt: skip
    group.add_argument(
        "--first-last-bits", type=_first_last_bits, default=_DEFAULTS.first_last_bits,
        metavar=f"B|{_PLANNED}",
        help="least width of the first and the last layer; the result then takes more than the "
        f"plan, and says so (default: {_PLANNED}, as they are in it)",
    )  # fmt: skip
    group.add_argument(
        "--precision", choices=PRECISIONS, default=_DEFAULTS.precision,
        help=f"of the passes on a GPU (default: {_DEFAULTS.precision})",
    )  # fmt: skip


def _first_last_bits(text: str) -> int | None:
    if text == _PLANNED:
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a width or {_PLANNED!r}, got {text!r}") from None


def _recipe_lines() -> Iterator[str]:
    size = max(len(recipe.name) for recipe in RECIPES)
    for recipe in RECIPES:
        yield f"{recipe.name:<{size}}  {recipe.description}"
