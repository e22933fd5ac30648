"""Weights as a recipe rounds them, for statistics that see those in the place of the nearest."""

from collections.abc import Callable, MutableMapping
from functools import cache

from torch import Tensor

from gp_emq.networks import Layer, undisturbed
from gp_emq.quantization import QuantizedWeight
from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes._task import Task
from gp_emq.statistics import Rounding


def learned_rounding(
    recipe: Recipe,
    task_of: Callable[[], Task],
    identity: str,
    known: MutableMapping[tuple[str, int], QuantizedWeight] | None = None,
) -> Rounding:
    """Let statistics see weights as a recipe rounds them.

    Args:
        recipe: The recipe, which learns single layers. What rounds to the nearest statistics do by
            themselves, and what rounds a layer otherwise in every plan they cannot see.
        task_of: Prepares the network; called when the first weight is asked for.
        identity: Hash of all that the recipe rounds by.
        known: What is rounded already, by the layer's name and width; what is rounded now is added.
    """
    assert recipe.learns_layers  # noqa: S101 - else there is nothing to see
    task, rounded = cache(task_of), {} if known is None else known

    def weight(layer: Layer, width: int) -> Tensor:
        key = layer.name, width
        if key not in rounded:
            with undisturbed():
                rounded[key] = recipe.rounded(task(), layer, width)
        return rounded[key].values()

    return Rounding(identity, weight)
