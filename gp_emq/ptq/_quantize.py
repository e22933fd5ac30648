"""From a network and a plan to a quantized network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gp_emq.allocation import METHOD, Plan
from gp_emq.errors import NetworkError, QuantizationError
from gp_emq.networks import (
    Images,
    PrivateNetwork,
    Samples,
    Workload,
    count,
    leaves_of,
    output_types,
    take,
    undisturbed,
    unwrapped,
    workload_of,
)
from gp_emq.ptq._fitting import check_plan, planned_layers, planned_widths
from gp_emq.ptq._planned import planned_activation_bits, planned_granularity
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.ptq._task import calibration_samples, prepared_task, private_on_cpu
from gp_emq.quantization import (
    ROBUST,
    QuantizedModel,
    WeightQuantizer,
    ask_for_gradients,
    first_not_finite,
    floating_type,
    passes,
)
from gp_emq.quantization.recipes import Progress, Recipe, find_recipe, usual_method


def quantize(
    model: nn.Module | Workload,
    plan: Plan | Mapping[str, int],
    images: Images | None = None,
    *,
    method: str | None = None,
    quantizer: WeightQuantizer | None = None,
    activation_bits: int | None = None,
    activation_rule: str = ROBUST,
    iterations: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> QuantizedModel:
    """Quantize a network as a plan says.

    The model itself is left alone: a private copy of it is run, in eval mode. Everything is
    computed on the CPU, on one thread, so that equal inputs give equal results. Weights that the
    network computes from others (pruning, weight norm, parametrizations) are quantized as they
    are used, and are plain ones in the result.

    Args:
        model: Maps (n, C, H, W) to logits or anything else; of any floating type. A network in
            `DataParallel` or `torch.compile` is taken out of it. Or a `Workload`, which brings its
            samples along.
        plan: What `allocate` gives, or widths by name of the layer; layers that it does not name,
            or gives 32 bits, stay in float, their inputs too.
        images: Calibration images (n, C, H, W), in whatever `Workload` takes, such as a tensor,
            an array or a DataLoader; labels are not looked at. They choose the grids of
            activations, re-estimate batch norms, and are what learned rounding learns from.
        method: Name of a recipe, such as `"rtn"`, `"rtn+bn"`, `"adaround"` or `"brecq"`;
            `python -m gp_emq.quantize --list-methods` describes them. None takes the one that the
            plan was made for, if it was made for one, else `"rtn+bn-correction"`, or
            `"rtn+bias-correction"` where there is no batch norm.
        quantizer: Chooses the grids of weights; None for scales of least squared error, of the
            groups that the plan counted with, or else per output channel.
        activation_bits: Width of the inputs of the quantized layers, 32 for float; None for the one
            that the plan counted with, or 8 where it says none.
        activation_rule: How their grids are chosen: `"robust"`, `"percentile"`, `"mse"` or
            `"minmax"`, which alone lets an outlier widen them; see `QuantizationSettings`.
        iterations: Steps of learned rounding for each layer or block; None for the method's own
            number.
        seed: Of the order of images in learned rounding.
        cache: Folder below which learned rounding is kept, so that an interrupted call goes on
            where it was and another plan costs only what it does not share; None keeps nothing.
        progress: Told what is being quantized, and how many steps of how many are done.

    Returns:
        The quantized network, on the CPU, whose outputs have the floating type of the model's.

    Raises:
        DataError: Images of a wrong shape or value.
        NetworkError: The network cannot be copied or run, a parameter or an output of it is not
            finite, or no image calls a layer whose input is to be quantized.
        QuantizationError: The plan does not fit the network, the method or a setting is unknown,
            a budget of the plan counted with inputs of another width, or an output of the quantized
            network is not finite.

    Examples:
        >>> import gp_emq
        >>> from torch import manual_seed, nn, randn
        >>> _ = manual_seed(0)
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
        >>> images = randn(16, 1, 8, 8)
        >>> statistics = gp_emq.collect_statistics(network, images, bits=(2, 3, 4))
        >>> table = gp_emq.load_proxy("relative_error").table(statistics)
        >>> plan = gp_emq.allocate(table, statistics.layers, average_bits=3, fix={"0": 8})
        >>> quantized = gp_emq.quantize(network, plan, images)
        >>> quantized(images).shape
        torch.Size([16, 5])
        >>> quantized.network[3].weight[0].unique().numel() <= 2 ** plan.widths["3"]
        True
    """
    inputs = planned_activation_bits(plan, activation_bits)
    found = planned_granularity(plan, None if quantizer is None else quantizer.granularity)
    quantizer = quantizer or WeightQuantizer.of(found)
    settings = QuantizationSettings(quantizer, inputs, iterations, seed, activation_rule)
    return run_recipe(
        find_recipe(method or _usual(model, plan)),
        model,
        plan,
        images,
        settings,
        cache=cache,
        progress=progress,
    )


def _usual(model: nn.Module | Workload, plan: Plan | Mapping[str, int]) -> str:
    """Name the method that the plan was made for, or else what suits the network."""
    module = model.model if isinstance(model, Workload) else model
    if isinstance(plan, Plan) and METHOD in plan.provenance:
        return plan.provenance[METHOD]
    return usual_method(unwrapped(module)) if isinstance(module, nn.Module) else "rtn"


def run_recipe(
    recipe: Recipe,
    model: nn.Module | Workload,
    plan: Plan | Mapping[str, int],
    images: Images | None,
    settings: QuantizationSettings,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> QuantizedModel:
    """Quantize a network by a recipe; the arguments are those of `quantize`."""
    if settings.iterations is not None and not recipe.learns:
        raise QuantizationError(f"method {recipe.name} learns nothing: it takes no iterations")
    check_plan(plan)
    workload = workload_of(model, images)
    model, batch = workload.model, calibration_samples(workload, settings)
    if not workload.is_default:
        cache = None  # nobody knows whether code of the user's own is still what it was
    network = private_on_cpu(workload)
    with undisturbed():
        layers = planned_layers(network, batch, plan)
        widths = planned_widths(plan, layers, network.model)
        chosen = tuple(layer for layer in layers if layer.name in widths)
        task = prepared_task(
            recipe, network, chosen, batch, settings, cache=cache, progress=progress
        )
        made = recipe.quantize(task, widths)
        _check_outputs(network, made, batch)
    made.dtype = floating_type(unwrapped(model))
    made.give(output_types(model, workload.forward, take(batch, slice(0, 1))) or ())
    ask_for_gradients(made.network, unwrapped(model))
    return made


def _check_outputs(network: PrivateNetwork, quantized: QuantizedModel, images: Samples) -> None:
    """Refuse a quantized network whose outputs for the calibration images are not finite.

    Where a network itself gives infinities, as for classes that it masks, they may stay.
    """
    rounded, start = network.copy_of(quantized.network), 0
    with torch.no_grad():
        for part in passes(network, images):
            found = leaves_of(rounded.run(part))
            if any(first_not_finite(leaf, count(part)) is not None for leaf in found):
                for leaf, before in zip(found, leaves_of(network.run(part)), strict=False):
                    _check_output(leaf, before, start, count(part))
            start += count(part)


def _check_output(found: Any, before: Any, start: int, samples: int) -> None:
    """Check one of the outputs for some images, of which `start` is the first."""
    place = first_not_finite(before, samples)
    if place is not None and bool(before.isnan().any()):
        raise NetworkError(f"the network's output for image {start + place} is NaN")
    if first_not_finite(found, samples) is None or found.shape != before.shape:
        return
    place = first_not_finite(torch.where(before.isfinite(), found, 0.0), samples)
    if place is not None:
        raise QuantizationError(
            f"the quantized network's output for image {start + place} is not finite"
        )
