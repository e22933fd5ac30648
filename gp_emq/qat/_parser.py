"""The options of ``python -m gp_emq.qat``."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gp_emq.options import OptionParser, not_negative, options_from_file, positive, seed
from gp_emq.outputs import OutputFolder
from gp_emq.qat._recipes import RECIPES, find_recipe
from gp_emq.qat._settings import PRECISIONS, QatSettings

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


def parse_options(given: Sequence[str]) -> argparse.Namespace:
    """Read the command line, over the file of ``--config``, over the recipe.

    Raises:
        GpEmqError: An option is unknown or of the wrong kind, or a file does not read.
    """
    finder = OptionParser(add_help=False)
    finder.add_argument("--recipe")
    name = finder.parse_known_args(list(given))[0].recipe
    recipe = options_from_file(["--config", str(find_recipe(name).path)]) if name else []
    return _parser().parse_args([*recipe, *options_from_file(given), *given])


def settings_of(options: argparse.Namespace) -> QatSettings:
    """Make settings of what was given.

    Raises:
        TrainingError: A value is out of range.
    """
    known: dict[str, Any] = {
        field.name: getattr(options, field.name) for field in fields(QatSettings)
    }
    return QatSettings(**{name: value for name, value in known.items() if value is not None})


def recipe_settings(name: str | None) -> QatSettings:
    """Make the settings of a recipe, or with None the default ones.

    Raises:
        TrainingError: The recipe is unknown.
    """
    return settings_of(parse_options(["--recipe", name] if name else []))


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="python -m gp_emq.qat",
        description="Train a network while it is quantized as a plan says, with learned step "
        "sizes (LSQ). Started again with the same options, it goes on where it stopped; under "
        "torchrun, all processes train together.",
    )
    what = parser.add_argument_group("what to train")
    plan = what.add_mutually_exclusive_group()
    plan.add_argument("--plan", type=Path, metavar="FILE", help="a plan of gp_emq.allocate")
    plan.add_argument("--bits", type=positive, metavar="B", help="one width for all layers instead")
    what.add_argument(
        "--network", metavar="NAME|MODULE:FACTORY",
        help="a known network, or a function that returns one (default: the plan's)",
    )  # fmt: skip
    what.add_argument("--weights", type=Path, metavar="FILE", help="its weights, if it needs any")
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH",
        help="its images: those of its data set, for ImageNet the folder of train and val; or an "
        ".npz of x float32 (n,C,H,W) and, if there are labels, y",
    )  # fmt: skip
    what.add_argument(
        "--test-data", type=Path, metavar="FILE.npz",
        help="such a file to evaluate on (default: the data set's test images)",
    )  # fmt: skip
    what.add_argument(
        "--images", type=positive, default=512, metavar="N",
        help="calibration images for the first step sizes (default: 512)",
    )  # fmt: skip
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
    where.add_argument("--list-recipes", action="store_true", help="list the recipes and exit")
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


def recipe_lines() -> list[str]:
    """Return one line per recipe: its name and what it is."""
    size = max(len(recipe.name) for recipe in RECIPES)
    return [f"{recipe.name:<{size}}  {recipe.description}\n" for recipe in RECIPES]
