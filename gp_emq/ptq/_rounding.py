"""The weights that a recipe learns, for statistics of the network as it leaves it."""

from collections.abc import Sequence
from pathlib import Path

from gp_emq.networks import Layer, Workload
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.ptq._task import calibration_samples, make_task, roundings_identity
from gp_emq.quantization.recipes import Recipe, learned_rounding
from gp_emq.statistics import Rounding


def rounding_of(
    recipe: Recipe,
    workload: Workload,
    layers: Sequence[Layer],
    settings: QuantizationSettings,
    *,
    cache: Path | None = None,
) -> Rounding | None:
    """Let statistics see weights as `quantize` rounds them.

    Args:
        recipe: What will quantize the network.
        workload: The network with its calibration images.
        layers: Those that statistics are of, in forward order.
        settings: Of the quantization.
        cache: Folder below which learned rounding is kept; None keeps nothing.

    Returns:
        None for recipes that learn nothing of single layers.
    """
    if not recipe.learns_layers:
        return None
    images = calibration_samples(workload, settings)
    return learned_rounding(
        recipe,
        lambda: make_task(recipe, workload, layers, settings, cache=cache),
        roundings_identity(recipe, workload.private().model, images, settings),
    )
