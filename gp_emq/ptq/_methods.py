"""The methods: how a network's weights are rounded once their widths are chosen."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from gp_emq.errors import QuantizationError
from gp_emq.networks import count, undisturbed
from gp_emq.ptq._task import Counter, Task
from gp_emq.quantization import (
    QuantizedModel,
    QuantizedWeight,
    batch_norms,
    estimating,
    layer_weight,
    quantize_weights,
    reconstruct_blocks,
    reconstruct_layer,
    reconstructed_blocks,
)


@dataclass(frozen=True)
class Method:
    """A way to quantize a network whose widths are chosen.

    Attributes:
        name: By which it is found.
        description: One line.
        function: Quantizes.
        iterations: Steps of learning for each layer or block unless the user says otherwise;
            0 where nothing is learned.
    """

    name: str
    description: str
    function: Callable[[Task], QuantizedModel]
    iterations: int = 0

    @property
    def learns(self) -> bool:
        """Whether it takes steps of learning, and is worth resuming."""
        return self.iterations > 0


def find_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        QuantizationError: There is none of this name.
    """
    for method in METHODS:
        if method.name == name:
            return method
    known = ", ".join(method.name for method in METHODS)
    if name == "qat":
        raise QuantizationError(f"qat needs training images: use gp_emq.qat.train, or {known}")
    raise QuantizationError(f"unknown method {name!r}: known are {known}")


def round_to_nearest(task: Task) -> QuantizedModel:
    """Round every weight to the nearest value of its layer's grid."""
    counter = Counter(task.progress, len(task.distinct_layers))
    weights = {}
    for layer in task.distinct_layers:
        width = task.widths[layer.name]
        rounded = quantize_weights(task.network.model, [layer], [width], task.settings.weights)
        weights[layer.name] = rounded[0, width]
        counter.advance(layer.name)
    return task.finish(weights)


def reestimate_batch_norm(task: Task) -> QuantizedModel:
    """Round to nearest, and take batch-norm statistics from images through the result.

    The statistics are those of one batch, all images, in which every layer is quantized already.
    A network without batch norm is rounded to nearest alone.
    """
    quantized = round_to_nearest(task)
    norms = batch_norms(quantized.network)
    if norms and count(task.images) < 2:
        raise QuantizationError("batch-norm statistics need at least 2 images, not 1")
    network = task.network.copy_of(quantized.network)
    with undisturbed(), estimating(batch_norms(network.model)), torch.no_grad():
        network.run(task.images)
    for norm, estimated in zip(norms, batch_norms(network.model), strict=True):
        norm.running_mean, norm.running_var = estimated.running_mean, estimated.running_var
    return quantized


def reconstruct_layers(task: Task) -> QuantizedModel:
    """Learn the rounding of each layer from its float input (AdaRound).

    Source: Nagel et al., Up or down? Adaptive rounding for post-training quantization, 2020;
    here every layer is fed what the float network gives it, rounded to the layer's grid. What is
    learned of a layer at a width then serves every plan.
    """
    steps = task.rounding.iterations
    counter = Counter(task.progress, steps * len(task.distinct_layers))
    weights = {}
    for layer in task.distinct_layers:
        width = task.widths[layer.name]
        key = f"{layer.name}-{width}bits"
        kept = task.learned.get(key, {"integers": layer.weight_shape})
        if kept is None:
            weights[layer.name] = reconstruct_layer(
                task.network,
                layer,
                width,
                quantizer=task.settings.weights,
                activation=task.activations.get(layer.name),
                images=task.images,
                settings=task.rounding,
                sharing={
                    name: task.activations.get(name)
                    for name, owner in task.owners.items()
                    if owner == layer.name != name
                },
                report=counter.advance,
            )
            task.learned.put(key, {"integers": weights[layer.name].integers})
        else:
            grid = task.settings.weights.parameters(layer_weight(task.network.model, layer), width)
            weights[layer.name] = QuantizedWeight(kept["integers"], grid)
            counter.advance(layer.name, steps)
    return task.finish(weights)


def reconstruct_network(task: Task) -> QuantizedModel:
    """Learn the rounding of block after block, each fed by the quantized network so far (BRECQ).

    Source: Li et al., BRECQ: Pushing the limit of post-training quantization by block
    reconstruction, 2021, with the squared error of a block's output in place of the one weighted
    by its gradient.
    """
    blocks = reconstructed_blocks(task.network, task.layers, task.widths, task.images)
    counter = Counter(task.progress, task.rounding.iterations * len(blocks))
    weights = reconstruct_blocks(
        task.network,
        task.layers,
        task.widths,
        quantizer=task.settings.weights,
        images=task.images,
        settings=task.rounding,
        learned=task.learned,
        report=counter.advance,
    )
    return task.finish(weights)


METHODS = (
    Method("rtn", "rounding to nearest, batch norm as trained", round_to_nearest),
    Method(
        "rtn+bn",
        "rounding to nearest, batch-norm statistics re-estimated on the images",
        reestimate_batch_norm,
    ),
    Method(
        "adaround",
        "learned rounding, each layer reconstructed from its float input",
        reconstruct_layers,
        iterations=1000,
    ),
    Method(
        "brecq",
        "learned rounding, each block reconstructed from what the quantized network feeds it",
        reconstruct_network,
        iterations=20_000,
    ),
)
