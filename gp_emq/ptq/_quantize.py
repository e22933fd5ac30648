"""From a network and a plan to a quantized network."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gp_emq.allocation import FLOAT_BITS, Plan
from gp_emq.errors import NetworkError, QuantizationError
from gp_emq.files import code_sha256, shortened
from gp_emq.networks import (
    Images,
    Layer,
    PrivateNetwork,
    Samples,
    Workload,
    check_finite,
    count,
    layers_of,
    output_types,
    take,
    tensors_of,
    undisturbed,
    unwrapped,
    with_shared_embeddings,
    workload_of,
)
from gp_emq.ptq._planned import planned_activation_bits, planned_granularity
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.quantization import (
    MAX_BITS,
    MIN_BITS,
    ROBUST,
    LearnedRoundings,
    QuantizationParameters,
    QuantizedModel,
    RoundingSettings,
    WeightQuantizer,
    ask_for_gradients,
    calibrate_activations,
    first_not_finite,
    floating_type,
    grids_by_name,
    passes,
    usual_images,
)
from gp_emq.quantization.recipes import Progress, Recipe, Task, find_recipe
from gp_emq.statistics import sha256_of, state_sha256


def quantize(
    model: nn.Module | Workload,
    plan: Plan | Mapping[str, int],
    images: Images | None = None,
    *,
    method: str = "rtn",
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
            `python -m gp_emq.quantize --list-methods` describes them.
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
        find_recipe(method), model, plan, images, settings, cache=cache, progress=progress
    )


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
    _check_plan(plan)
    workload = workload_of(model, images)
    model, batch = workload.model, _usual(workload, settings)
    if not workload.is_default:
        cache = None  # nobody knows whether code of the user's own is still what it was
    network = _private(workload)
    with undisturbed():
        layers = _layers(network, batch, plan)
        widths = _widths(plan, layers, network.model)
        _check_shared(layers, widths)
        chosen = tuple(layer for layer in layers if layer.name in widths)
        task = _task(recipe, network, chosen, batch, settings, cache=cache, progress=progress)
        made = recipe.quantize(task, widths)
        _check_outputs(network, made, batch)
    made.dtype = floating_type(unwrapped(model))
    made.give(output_types(model, workload.forward, take(batch, slice(0, 1))) or ())
    ask_for_gradients(made.network, unwrapped(model))
    return made


def _check_plan(plan: object) -> None:
    """Refuse what is neither a plan nor widths by name."""
    if isinstance(plan, Plan):
        return
    if not isinstance(plan, Mapping):
        raise QuantizationError(
            f"the plan is {type(plan).__name__}: give what allocate or load_plan returns, or a "
            "dict of widths by name of the layer"
        )
    for name, width in plan.items():
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
            raise QuantizationError(
                f"the plan gives layer {name!r} {shortened(width)} bits, which is no whole number"
            )


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
    network = _private(workload)
    with undisturbed():
        return _task(
            recipe, network, tuple(layers), _usual(workload, settings), settings,
            cache=cache, progress=progress,
        )  # fmt: skip


def _usual(workload: Workload, settings: QuantizationSettings) -> Samples:
    """Leave out the calibration images that would widen grids, unless the rule spans them all."""
    samples = workload.samples
    return samples if settings.activation_rule == "minmax" else usual_images(samples)


def _private(workload: Workload) -> PrivateNetwork:
    """Copy the network to the CPU, once its parameters are known to be finite."""
    network = workload.private()
    network.model.cpu()
    network.device = torch.device("cpu")
    check_finite(network.model)
    return network


def _task(
    recipe: Recipe,
    network: PrivateNetwork,
    layers: tuple[Layer, ...],
    images: Samples,
    settings: QuantizationSettings,
    *,
    cache: Path | None,
    progress: Progress | None,
) -> Task:
    rounding = RoundingSettings(
        iterations=recipe.iterations if settings.iterations is None else settings.iterations,
        seed=settings.seed,
    )
    folder = _folder(
        cache, recipe, network.model, images=images, settings=settings, rounding=rounding
    )
    return Task(
        network=network,
        layers=layers,
        images=images,
        weights=settings.weights,
        activations=_input_grids(network, layers, images, settings),
        rounding=rounding,
        learned=LearnedRoundings(folder),
        progress=progress,
    )


def _layers(
    network: PrivateNetwork, images: Samples, plan: Plan | Mapping[str, int]
) -> tuple[Layer, ...]:
    """Find the layers that the first image calls, or all images where the plan has others."""
    found = layers_of(network, take(images, slice(0, 1)))
    planned = {item.name for item in plan.layers} if isinstance(plan, Plan) else set(plan)
    if planned <= {layer.name for layer in found}:
        return found
    return layers_of(network, images)


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


def _widths(
    plan: Plan | Mapping[str, int], layers: tuple[Layer, ...], model: nn.Module
) -> dict[str, int]:
    """Return the width of every layer to quantize, in forward order, once they fit the network."""
    known = {layer.name: layer for layer in layers}
    given = plan.widths if isinstance(plan, Plan) else dict(plan)
    planned = [item.name for item in plan.layers] if isinstance(plan, Plan) else list(given)
    for name in planned:
        if name not in known:
            names = list(known)
            shown = ", ".join(names if len(names) <= 12 else [*names[:10], "...", names[-1]])
            raise QuantizationError(
                f"the plan has a layer {name!r}, but {type(model).__name__} has {shown}"
            )
    for item in plan.layers if isinstance(plan, Plan) else ():
        shape = known[item.name].weight_shape
        if item.layer.weight_shape != shape:
            raise QuantizationError(
                f"the plan's layer {item.name!r} has a weight of shape {item.layer.weight_shape}, "
                f"but that of {type(model).__name__} has {shape}"
            )
    missing = plan.unplanned(layers) if isinstance(plan, Plan) else ()
    if missing:
        raise QuantizationError(
            f"the plan is of another network: it says nothing of layer {missing[0]!r}, the "
            f"first of {len(missing)} layers of {type(model).__name__} that it lacks"
        )
    for name, width in given.items():
        if width != FLOAT_BITS and not MIN_BITS <= width <= MAX_BITS:
            raise QuantizationError(
                f"the plan gives layer {name!r} {width} bits: {MIN_BITS} to {MAX_BITS}, or "
                f"{FLOAT_BITS} for float"
            )
    given = with_shared_embeddings(layers, given)
    widths = {name: given[name] for name in known if given.get(name, FLOAT_BITS) != FLOAT_BITS}
    if not widths:
        raise QuantizationError("the plan quantizes no layer")
    return widths


def _check_shared(layers: tuple[Layer, ...], widths: Mapping[str, int]) -> None:
    """Refuse a plan that gives one weight, shared by several layers, several widths."""
    for layer in layers:
        if not layer.shares:
            continue
        mine, theirs = (widths.get(name, FLOAT_BITS) for name in (layer.name, layer.shares))
        if mine != theirs:
            raise QuantizationError(
                f"layers {layer.shares!r} and {layer.name!r} share one weight, but the plan gives "
                f"them {theirs} and {mine} bits"
            )


def _check_outputs(network: PrivateNetwork, quantized: QuantizedModel, images: Samples) -> None:
    """Refuse a quantized network whose outputs for the calibration images are not finite.

    Where a network itself gives infinities, as for classes that it masks, they may stay.
    """
    rounded, start = network.copy_of(quantized.network), 0
    with torch.no_grad():
        for part in passes(network, images):
            found = rounded.run(part)
            if first_not_finite(found) is not None:
                before = network.run(part)
                place = first_not_finite(before)
                if place is not None and bool(before.isnan().any()):
                    raise NetworkError(f"the network's output for image {start + place} is NaN")
                place = first_not_finite(torch.where(before.isfinite(), found, 0.0))
                if place is not None:
                    raise QuantizationError(
                        f"the quantized network's output for image {start + place} is not finite"
                    )
            start += count(part)


def _folder(
    cache: Path | None,
    recipe: Recipe,
    model: nn.Module,
    *,
    images: Samples,
    settings: QuantizationSettings,
    rounding: RoundingSettings,
) -> Path | None:
    """Name the folder of what is learned by everything but the plan that it depends on.

    The code that learns it is part of that.
    """
    if cache is None or not recipe.learns:
        return None
    activations = settings.activations
    document = {
        "code": code_sha256(*recipe.modules),
        "method": recipe.name,
        "state": state_sha256(model),
        "images": sha256_of(tensors_of(images, "images")),
        "weights": settings.weights.document(),
        "activations": None if activations is None else asdict(activations),
        "rounding": asdict(rounding),
    }
    text = json.dumps(document, sort_keys=True)
    return cache / "roundings" / hashlib.sha256(text.encode()).hexdigest()[:32]
