"""The quantized model that training starts from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from gp_emq.allocation import FLOAT_BITS, Plan, revised_plan
from gp_emq.errors import TrainingError
from gp_emq.networks import (
    PER_CHANNEL,
    Granularity,
    Layer,
    PrivateNetwork,
    Workload,
    output_types,
    take,
    unwrapped,
    with_shared_embeddings,
)
from gp_emq.qat._network import float_network
from gp_emq.qat._settings import QatSettings
from gp_emq.quantization import (
    MAX_BITS,
    MIN_BITS,
    ActivationQuantizer,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    RoundingSettings,
    WeightQuantizer,
    ask_for_gradients,
    calibrate_activations,
    floating_type,
    grids_by_name,
    layer_weight,
    quantize,
)
from gp_emq.quantization.recipes import Task, find_recipe


def trained_widths(
    layers: Sequence[Layer], widths: Mapping[str, int], first_last_bits: int | None
) -> dict[str, int]:
    """Say which width every layer gets in training.

    Args:
        layers: The network's layers, in forward order.
        widths: Width by name of the layer; `FLOAT_BITS` or absent for layers kept in float.
        first_last_bits: Least width of the first and the last quantized layer, and of those tied
            to them; None for none.

    Returns:
        Width by name of every quantized layer, in forward order.

    Raises:
        TrainingError: A name is no layer of the network, a width is out of range, or nothing
            is quantized.
    """
    names = [layer.name for layer in layers]
    for name, width in widths.items():
        if name not in names:
            raise TrainingError(
                f"the network has no layer {name!r}; it has {', '.join(names[:3])}, ..."
            )
        if width != FLOAT_BITS and not MIN_BITS <= width <= MAX_BITS:
            raise TrainingError(
                f"layer {name!r} has {width} bits: give {MIN_BITS} to {MAX_BITS}, or {FLOAT_BITS} "
                "to keep it in float"
            )
    widths = with_shared_embeddings(layers, widths)
    found = {name: widths[name] for name in names if widths.get(name, FLOAT_BITS) != FLOAT_BITS}
    if not found:
        raise TrainingError("no layer is quantized: there is nothing to train for")
    if first_last_bits is not None:
        ends = {next(iter(found)), next(reversed(found))}
        entries = {layer.entry for layer in layers if layer.name in ends}
        for layer in layers:
            if layer.entry in entries and layer.name in found:
                found[layer.name] = max(found[layer.name], first_last_bits)
    return found


def trained_plan(plan: Plan, layers: Sequence[Layer], settings: QatSettings) -> Plan:
    """Return what of a plan is trained: the plan itself, unless the settings raise widths.

    Layers that the plan gives one width keep one.

    Args:
        plan: The plan.
        layers: The network's layers, in forward order.
        settings: The widths of the first and the last layer.

    Raises:
        TrainingError: See `trained_widths`.
    """
    entries = {planned.name: planned.layer.entry for planned in plan.layers}
    decided = [replace(layer, entry=entries.get(layer.name, layer.entry)) for layer in layers]
    found = trained_widths(decided, plan.widths, settings.first_last_bits)
    raised = [name for name, width in found.items() if width != plan.widths[name]]
    reason = f"{', '.join(raised)} at {settings.first_last_bits} bits in training"
    return revised_plan(plan, found, reason)


def warm_start(
    model: nn.Module,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    images: Tensor | Workload,
    settings: QatSettings,
    *,
    recipe: str = "rtn",
    granularity: Granularity = PER_CHANNEL,
) -> QuantizedModel:
    """Quantize a network without training, by a recipe.

    Weights have scales of least squared error. Inputs of layers span what they span on the images
    at 8 bits, and have a scale of least squared error below, outliers left out.

    Args:
        model: The float network; it is left alone.
        layers: Its layers, in forward order.
        widths: Width by name of the layer; `FLOAT_BITS` or absent for layers kept in float.
        images: Calibration images, float32 (n, C, H, W), or a workload with other samples.
        settings: The widths of inputs, and of the first and the last layer.
        recipe: Name of the recipe, see `gp_emq.quantization.recipes`.
        granularity: What of a weight shares a scale.

    Raises:
        QuantizationError: The recipe is unknown.
        TrainingError: See `trained_widths`.
    """
    chosen_recipe, network = find_recipe(recipe), PrivateNetwork(model)
    if isinstance(images, Workload):
        network, images = images.of(model).private(), images.samples
    found = trained_widths(layers, widths, settings.first_last_bits)
    chosen = tuple(layer for layer in layers if layer.name in found)
    inputs = input_widths([layer for layer in chosen if not layer.takes_indices], settings)
    grids: dict[str, QuantizationParameters] = {}
    for bits in sorted(set(inputs.values())):
        rule = "robust" if bits == MAX_BITS else "mse"
        some = [layer for layer in chosen if inputs.get(layer.name) == bits]
        calibrated = calibrate_activations(
            network, some, images, ActivationQuantizer(bits=bits, scale_rule=rule)
        )
        grids.update(grids_by_name(some, calibrated))
    task = Task(
        network=network,
        layers=chosen,
        images=images,
        weights=WeightQuantizer.of(granularity),
        activations={name: grids[name] for name in inputs},
        rounding=RoundingSettings(iterations=chosen_recipe.iterations, seed=settings.seed),
    )
    start = chosen_recipe.quantize(task, found)
    start.dtype = floating_type(unwrapped(model))
    start.give(output_types(model, network.forward, take(images, slice(0, 1))) or ())
    ask_for_gradients(start.network, unwrapped(model))
    return start


def fitted_start(
    model: nn.Module,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    start: QuantizedModel,
    settings: QatSettings,
) -> QuantizedModel:
    """Bring a quantized model to the widths that training is for.

    Args:
        model: The float network.
        layers: Its layers, in forward order.
        widths: Width by name of the quantized layers, as `trained_widths` gives them.
        start: Quantizes the same layers. Weights of another width get a grid of least squared
            error, inputs of another width the range they have.
        settings: The widths of inputs.

    Returns:
        A quantized model with the weights at the widths asked for; what was so already is as it
        was, and inputs that were in float stay so.

    Raises:
        TrainingError: The quantized model quantizes other layers.
    """
    if set(start.weights) != set(widths):
        differing = sorted(set(start.weights) ^ set(widths))
        raise TrainingError(
            f"training starts from a model that quantizes the planned layers; {differing[0]!r} is "
            f"{'not planned' if differing[0] in start.weights else 'in float there'}"
        )
    by_name = {layer.name: layer for layer in layers}
    weights = {
        name: _weight(model, by_name[name], width, start.weights[name])
        for name, width in widths.items()
    }
    fed = [by_name[name] for name in widths if not by_name[name].takes_indices]
    inputs = input_widths(fed, settings)
    grids = {
        name: _widened(grid, inputs[name]) if name in inputs else grid
        for name, grid in start.activations.items()
    }
    fitted = QuantizedModel(float_network(model, start), weights, grids)
    fitted.give_as(start)
    return fitted


def input_widths(layers: Sequence[Layer], settings: QatSettings) -> dict[str, int]:
    """Say which width the inputs of some layers get, in forward order, by their names."""
    names = [layer.name for layer in layers]
    widths = dict.fromkeys(names, settings.activation_bits)
    if settings.first_last_bits is not None:
        for name in (*names[:1], *names[-1:]):
            widths[name] = max(settings.activation_bits, settings.first_last_bits)
    return widths


def _weight(model: nn.Module, layer: Layer, width: int, start: QuantizedWeight) -> QuantizedWeight:
    grid = start.parameters
    if grid.quant_max - grid.quant_min + 1 == 1 << width:
        return start
    quantizer = WeightQuantizer(
        symmetric=grid.quant_min < 0, per_channel=grid.scale.dim() > 0, group=grid.group
    )
    weight = layer_weight(model, layer)
    parameters = quantizer.parameters(weight, width, layer.name)
    return QuantizedWeight(quantize(weight, parameters).short(), parameters)


def _widened(grid: QuantizationParameters, bits: int) -> QuantizationParameters:
    """Give a grid another number of integers over the same range."""
    before, after = grid.quant_max - grid.quant_min, (1 << bits) - 1
    if before == after:
        return grid
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if grid.quant_min < 0 else (0, after)
    ratio = after / before
    zero_point = (grid.zero_point * ratio).round().clamp(low, high)
    return QuantizationParameters(grid.scale / ratio, zero_point, low, high)
