"""What the recipe of a protocol is given to quantize a network by."""

from collections.abc import Sequence

from gp_emq.mqbench._protocol import Protocol
from gp_emq.networks import Layer, Workload
from gp_emq.quantization import (
    LearnedRoundings,
    RoundingSettings,
    calibrate_activations,
    grids_by_name,
    usual_images,
)
from gp_emq.quantization.recipes import Task


def protocol_task(
    calibration: Workload,
    layers: Sequence[Layer],
    protocol: Protocol,
    seed: int,
    learned: LearnedRoundings | None = None,
) -> Task:
    """Prepare a network for the recipe of a protocol; the grids of inputs are calibrated here.

    Args:
        calibration: The float network with its calibration samples.
        layers: Those to quantize, in forward order.
        protocol: How.
        seed: Of the order of images in learned rounding.
        learned: Keeps what is learned; None keeps nothing.
    """
    network, images = calibration.private(), calibration.samples
    if protocol.activations.scale_rule != "minmax":
        images = usual_images(images)
    grids = calibrate_activations(network, layers, images, protocol.activations)
    return Task(
        network=network,
        layers=tuple(layers),
        images=images,
        weights=protocol.weights,
        activations=grids_by_name(layers, grids),
        rounding=RoundingSettings(
            iterations=protocol.iterations, seed=seed, relative=protocol.relative
        ),
        learned=learned or LearnedRoundings(None),
    )
