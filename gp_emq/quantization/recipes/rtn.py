"""Rounding to nearest."""

from gp_emq.networks import Layer
from gp_emq.quantization._quantized_network import QuantizedWeight, quantize_weights
from gp_emq.quantization._reconstruction import LayerProgress
from gp_emq.quantization.recipes._recipe import Recipe
from gp_emq.quantization.recipes._task import Task


def round_to_nearest(
    task: Task, layer: Layer, width: int, _report: LayerProgress
) -> QuantizedWeight:
    """Round a weight to the nearest values of its layer's grid."""
    return quantize_weights(task.network.model, [layer], [width], task.weights)[0, width]


RECIPE = Recipe("rtn", "rounding to nearest, batch norm as trained", round_to_nearest)
