"""The weights that a recipe learns, for statistics of the network as it leaves it."""

from collections.abc import Callable, MutableMapping, Sequence
from functools import cache as made_once
from pathlib import Path

from torch import Tensor

from gp_emq.networks import Layer, Workload, undisturbed
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.ptq._task import calibration_samples, make_task, roundings_identity
from gp_emq.quantization import QuantizedWeight
from gp_emq.quantization.recipes import Recipe, Task
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
    images = calibration_samples(workload, settings)
    return learned_rounding(
        recipe,
        lambda: make_task(recipe, workload, layers, settings, cache=cache),
        roundings_identity(recipe, workload.private().model, images, settings),
    )


def learned_rounding(
    recipe: Recipe,
    task_of: Callable[[], Task],
    identity: str,
    known: MutableMapping[tuple[str, int], QuantizedWeight] | None = None,
) -> Rounding | None:
    """Let statistics see weights as a recipe rounds them.

    Args:
        recipe: The recipe.
        task_of: Prepares the network; called when the first weight is asked for.
        identity: Hash of all that the recipe rounds by.
        known: What is rounded already, by the layer's name and width; what is rounded now is added.

    Returns:
        None for a recipe that rounds to the nearest, which statistics do by themselves, and for one
        that rounds a layer otherwise in every plan.
    """
    if not recipe.learns_layers:
        return None
    task, rounded = made_once(task_of), {} if known is None else known

    def weight(layer: Layer, width: int) -> Tensor:
        key = layer.name, width
        if key not in rounded:
            with undisturbed():
                rounded[key] = recipe.rounded(task(), layer, width)
        return rounded[key].values()

    return Rounding(identity, weight)
