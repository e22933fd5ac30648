"""What a recipe needs to quantize a network, whichever plan it will be of."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from gp_emq.files import code_sha256
from gp_emq.networks import (
    Layer,
    PrivateNetwork,
    Samples,
    Workload,
    check_finite,
    tensors_of,
    undisturbed,
)
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.quantization import (
    LearnedRoundings,
    QuantizationParameters,
    RoundingSettings,
    calibrate_activations,
    grids_by_name,
    usual_images,
)
from gp_emq.quantization.recipes import Progress, Recipe, Task
from gp_emq.statistics import network_sha256, sha256_of


def make_task(
    recipe: Recipe,
    workload: Workload,
    layers: Sequence[Layer],
    settings: QuantizationSettings,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Task:
    """Prepare a network as `quantize` does, for plans of which none is chosen yet.

    Args:
        recipe: What will quantize it.
        workload: The network with its calibration images.
        layers: Those that any plan will quantize, in forward order.
        settings: Of the quantization.
        cache: As for `quantize`.
        progress: Likewise.

    Returns:
        The task.
    """
    cache = cache if workload.is_default else None
    network = private_on_cpu(workload)
    with undisturbed():
        return prepared_task(
            recipe, network, tuple(layers), calibration_samples(workload, settings), settings,
            cache=cache, progress=progress,
        )  # fmt: skip


def calibration_samples(workload: Workload, settings: QuantizationSettings) -> Samples:
    """Leave out the calibration images that would widen grids, unless the rule spans them all."""
    samples = workload.samples
    return samples if settings.activation_rule == "minmax" else usual_images(samples)


def private_on_cpu(workload: Workload) -> PrivateNetwork:
    """Copy the network to the CPU, once its parameters are known to be finite."""
    network = workload.private()
    network.model.cpu()
    network.device = torch.device("cpu")
    check_finite(network.model)
    return network


def prepared_task(
    recipe: Recipe,
    network: PrivateNetwork,
    layers: tuple[Layer, ...],
    images: Samples,
    settings: QuantizationSettings,
    *,
    cache: Path | None,
    progress: Progress | None,
) -> Task:
    """Calibrate what a recipe needs: the grids of the inputs of layers, and its settings.

    Args:
        recipe: What will quantize the network.
        network: A private copy of it.
        layers: Those to quantize, in forward order.
        images: What it is calibrated on.
        settings: Of the quantization.
        cache: Folder below which learned rounding is kept; None keeps nothing.
        progress: Told how far the recipe is.
    """
    folder = None
    if cache is not None and recipe.learns:
        identity = roundings_identity(recipe, network.model, images, settings)
        folder = cache / "roundings" / identity[:32]
    return Task(
        network=network,
        layers=layers,
        images=images,
        weights=settings.weights,
        activations=_input_grids(network, layers, images, settings),
        rounding=_rounding_settings(recipe, settings),
        learned=LearnedRoundings(folder),
        progress=progress,
    )


def _input_grids(
    network: PrivateNetwork,
    layers: tuple[Layer, ...],
    images: Samples,
    settings: QuantizationSettings,
) -> dict[str, QuantizationParameters]:
    """Return the grid of each layer's input by name; none where activations stay in float."""
    if settings.activations is None:
        return {}
    grids = calibrate_activations(network, layers, images, settings.activations)
    return grids_by_name(layers, grids)


def _rounding_settings(recipe: Recipe, settings: QuantizationSettings) -> RoundingSettings:
    steps = recipe.iterations if settings.iterations is None else settings.iterations
    return RoundingSettings(iterations=steps, seed=settings.seed)


def roundings_identity(
    recipe: Recipe, model: nn.Module, images: Samples, settings: QuantizationSettings
) -> str:
    """Hash everything but the plan that learned rounding depends on, the code too.

    What is corrected afterwards is not in it: recipes that learn alike share what is learned.

    Args:
        recipe: What learns it.
        model: The float network.
        images: The calibration images that are used.
        settings: Of the quantization.

    Returns:
        64 hexadecimal digits.
    """
    activations = settings.activations
    document = {
        "code": code_sha256(*recipe.rounding_modules),
        "state": network_sha256(model),
        "images": sha256_of(tensors_of(images, "images")),
        "weights": settings.weights.document(),
        "activations": None if activations is None else asdict(activations),
        "rounding": asdict(_rounding_settings(recipe, settings)),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
