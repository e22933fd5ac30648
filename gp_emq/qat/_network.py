"""A network whose grids learn: made from a quantized model, and made into one again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gp_emq.errors import TrainingError
from gp_emq.networks import input_of, places_beside, private_copy, unwrapped, with_input
from gp_emq.qat._learned_grid import LearnedGrid
from gp_emq.quantization import (
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    ask_for_gradients,
    floating_type,
    quantize,
)

INPUT_GRID = "input_grid"
# How near to the edge of its rounding cell a weight may start, in steps: beyond float32's error.
_CELL = 0.499


def learnable_network(model: nn.Module, start: QuantizedModel) -> nn.Module:
    """Make a network to train that computes what a quantized model does.

    Weights are the float ones, rounded in every pass to a grid with a learned step; inputs of
    layers likewise. Everything else is as the quantized model has it. Where it rounds a weight
    to another than the nearest grid value, the float weight starts at the nearest value that
    rounds as it does.

    Args:
        model: The float network; it is copied.
        start: Its quantized model.

    Returns:
        The network, in the mode of training. Batch norms use the statistics of each batch.

    Raises:
        TrainingError: A quantized weight is elsewhere in the network as well, beside layers.
    """
    network = float_network(model, start)
    layers = {name: network.get_submodule(name) for name in start.weights}
    beside = places_beside(network, list(layers.values()))
    for name, layer in layers.items():
        if beside[id(layer.weight)]:
            raise TrainingError(
                f"the weight of layer {name!r} is in {beside[id(layer.weight)][0]!r} too, which "
                "would not be rounded with it in training: leave the layer in float, or let "
                "forward use the layer's own"
            )
    shared: dict[int, LearnedGrid] = {}
    for name, weight in start.weights.items():
        module = network.get_submodule(name)
        parameter = module.get_parameter("weight")
        if id(parameter) not in shared:
            parameter.data = rounding_alike(parameter.detach(), weight)
            shared[id(parameter)] = LearnedGrid(weight.parameters, batched=False)
        # Layers that share a weight go on sharing it, and its grid.
        parametrize.register_parametrization(module, "weight", shared[id(parameter)])
    for name, parameters in start.activations.items():
        module = network.get_submodule(name)
        module.add_module(INPUT_GRID, LearnedGrid(parameters, batched=True))
        module.register_forward_pre_hook(_round_input, with_kwargs=True)
    network.requires_grad_(requires_grad=True)
    return network.train()


def float_network(model: nn.Module, start: QuantizedModel) -> nn.Module:
    """Return a float network with all that a quantized model has in float, such as batch norms.

    Args:
        model: The network whose weights it has where the quantized model has quantized ones.
        start: The quantized model.
    """
    network = private_copy(model)
    quantized = {f"{name}.weight" for name in start.weights}
    state = {key: v for key, v in start.network.state_dict().items() if key not in quantized}
    network.load_state_dict(state, strict=False)
    return network


def rounding_alike(weight: Tensor, rounded: QuantizedWeight) -> Tensor:
    """Move a weight, as little as needed, so that nearest rounding gives given integers.

    Args:
        weight: Float weight.
        rounded: The integers to give, of the same shape, and their grid.

    Returns:
        A new tensor, equal to the weight wherever that rounds as wanted.
    """
    grid, integers = rounded.parameters, rounded.integers.to(weight.device).float()
    level = integers - grid.spread(grid.zero_point, weight.shape)
    scale = grid.spread(grid.scale, weight.shape)
    moved = weight.clamp(min=(level - _CELL) * scale, max=(level + _CELL) * scale)
    return torch.where(quantize(weight, grid) == integers, weight, moved)


def learned_grids(network: nn.Module) -> list[LearnedGrid]:
    """Return every learned grid of a network, in the order of its modules."""
    return [module for module in network.modules() if isinstance(module, LearnedGrid)]


def quantized_model(
    model: nn.Module, network: nn.Module, weights: Sequence[str], activations: Sequence[str]
) -> QuantizedModel:
    """Make a trained network a quantized model, which computes the same in eval mode.

    Args:
        model: The float network that it was made from.
        network: The trained network.
        weights: Names of the layers with quantized weights.
        activations: Names of those with quantized inputs.

    Returns:
        The quantized model, on the CPU.
    """
    trained: Mapping[str, Tensor] = network.state_dict()
    base = private_copy(model).cpu()
    base.load_state_dict(
        {key: trained[key] for key in base.state_dict() if key in trained}, strict=False
    )
    quantized = {}
    for name in weights:
        grid = _parameters(network.get_submodule(f"{name}.parametrizations.weight.0"))
        original = trained[f"{name}.parametrizations.weight.original"].detach().cpu()
        integers = quantize(original, grid).to(torch.int16).contiguous()
        quantized[name] = QuantizedWeight(integers, grid)
    inputs = {
        name: _parameters(network.get_submodule(f"{name}.{INPUT_GRID}")) for name in activations
    }
    made = QuantizedModel(base, quantized, inputs, dtype=floating_type(unwrapped(model)))
    ask_for_gradients(made.network, unwrapped(model))
    return made


def _parameters(grid: nn.Module) -> QuantizationParameters:
    assert isinstance(grid, LearnedGrid)  # noqa: S101 - narrows; found by its own name
    now = grid.parameters_now()
    scale, zero_point = now.scale.cpu().clone(), now.zero_point.cpu().clone()
    return replace(now, scale=scale, zero_point=zero_point)


def _round_input(
    module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    # Reads the grid from the module it is called with, so that copies use their own.
    rounded = module.get_submodule(INPUT_GRID)(input_of(inputs, named))
    return with_input(inputs, named, rounded)
