"""Training as one of the methods of ``python -m gp_emq.quantize``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gp_emq.allocation import Plan
from gp_emq.determinism import threads
from gp_emq.errors import TrainingError
from gp_emq.networks import Network
from gp_emq.qat._inputs import load_qat_inputs
from gp_emq.qat._recipes import recipe_values
from gp_emq.qat._settings import QatSettings
from gp_emq.qat._train import train
from gp_emq.quantization import QuantizedModel


def method_settings(recipe: str | None, **changes: Any) -> QatSettings:
    """Make the settings of a recipe, or the default ones, with some changes.

    Args:
        recipe: Name of a recipe that ships; None for the defaults.
        changes: By field of `QatSettings`; those that are None change nothing.

    Raises:
        TrainingError: The recipe is unknown, or a value is out of range.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    return QatSettings(**{**(recipe_values(recipe) if recipe else {}), **given})


def train_plan(
    plan: Plan,
    network: Network,
    start: QuantizedModel,
    *,
    data: Sequence[Path],
    settings: QatSettings,
    folder: Path,
    quiet: bool,
) -> QuantizedModel:
    """Train a network that is quantized as a plan says, on the training images of its data set.

    Args:
        plan: The plan.
        network: The float network.
        start: The quantized network that training starts from.
        data: Files and folders of the data set.
        settings: How to train.
        folder: Where checkpoint and log are kept, and gone on with.
        quiet: Whether to show no progress bar.

    Raises:
        GpEmqError: There are no training images, or the settings do not fit.
    """
    if any(path.suffix == ".npz" for path in data) and len(data) == 1:
        raise TrainingError(
            f"{data[0]} does not say which images to train on: give python -m gp_emq.qat "
            "--data those, and --test-data the others"
        )
    inputs = load_qat_inputs(
        network.name, network.weights, data, images=settings.batch, seed=settings.seed
    )
    with threads(settings.threads):
        return train(
            network.model,
            network.layers,
            plan.widths,
            start,
            inputs.samples,
            settings=settings,
            test=inputs.test,
            folder=folder,
            device="auto",
            quiet=quiet,
        )
