"""Learned rounding of single layers (AdaRound)."""

from gp_emq.networks import Layer
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._reconstruction import LayerProgress, reconstruct_layer
from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes._task import Task


def learn_layer(task: Task, layer: Layer, width: int, report: LayerProgress) -> QuantizedWeight:
    """Learn the rounding of a layer from its float input, rounded to the input's grid.

    What is learned of a layer at a width then serves every plan.

    Source: Nagel et al., Up or down? Adaptive rounding for post-training quantization, 2020;
    here every layer is fed what the float network gives it.
    """
    return reconstruct_layer(
        task.network,
        layer,
        width,
        quantizer=task.weights,
        activation=task.activations.get(layer.name),
        images=task.images,
        settings=task.rounding,
        sharing={
            name: task.activations.get(name)
            for name, owner in task.owners.items()
            if owner == layer.name != name
        },
        report=report,
    )


RECIPE = Recipe(
    "adaround",
    "learned rounding, each layer reconstructed from its float input, rounded to its grid",
    learn_layer,
    iterations=1000,
)
