"""A network quantized once and for all: what is evaluated, saved and exported."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.errors import NetworkError, QuantizationError
from gp_emq.networks import check_finite, private_copy, unwrapped
from gp_emq.quantization._inputs import InputRounding, round_input
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._uniform import QuantizationParameters


class QuantizedModel(nn.Module):
    """A copy of a network with weights on their grids, and inputs of layers rounded to theirs.

    It computes in floating point what the quantized network would: `network` holds grid values
    where a layer is quantized, and everything else (biases, batch norm, layers kept in float) as
    it was given. It computes in float32, whatever the network's floating type, in which half of
    the grids would not be what they are; images are taken in any type, and what the network
    gives is given in its own.

    Args:
        model: The float network; it is copied and put in eval mode. Weights that it computes from
            others whenever it uses them are plain ones in the copy, see `private_copy`.
        weights: Quantized weights by name of the layer; layers that are absent stay in float.
        activations: Grid of the input by name of the layer; absent ones take float inputs.
        dtype: Floating type of the outputs; by default that of the network.

    Attributes:
        network: The copy.
        weights: As given.
        activations: As given.
        dtype: Floating type of the outputs.

    Raises:
        NetworkError: A name is no module of the network with a weight of that shape, or a
            parameter or a statistic is not finite.
        QuantizationError: Layers whose weight is one parameter have different grids or integers.
    """

    network: nn.Module

    def __init__(
        self,
        model: nn.Module,
        weights: Mapping[str, QuantizedWeight],
        activations: Mapping[str, QuantizationParameters],
        *,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.network = private_copy(model)
        self.dtype = dtype or floating_type(model)
        self.weights = dict(weights)
        self.activations = dict(activations)
        self.eval()
        owners: dict[int, str] = {}
        for name, weight in self.weights.items():
            parameter = _weight_of(self.network, name, weight)
            owner = owners.setdefault(id(parameter), name)
            if not _same(weight, self.weights[owner]):
                raise QuantizationError(
                    f"layers {owner!r} and {name!r} share one weight, and cannot be quantized "
                    "in two ways"
                )
            parameter.data = weight.values().contiguous().to(parameter.device)
        check_finite(self.network)
        for name, grid in self.activations.items():
            round_input(self.network.get_submodule(name), grid)
        ask_for_gradients(self.network, unwrapped(model))

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Map images (n, C, H, W), or what else it takes, to what the network gives for them."""
        kind = floating_type(self.network)
        # A copy, for networks that change their images in place.
        copied = _pytree.tree_map_only(Tensor, Tensor.clone, _as((inputs, named), kind))
        return _as(self.network(*copied[0], **copied[1]), self.dtype)

    def without_rounded_inputs(self) -> nn.Module:
        """Return a copy of the network that has the quantized weights and takes float inputs."""
        network = private_copy(self.network)
        for module in network.modules():
            hooks = module._forward_pre_hooks
            for key in [key for key, hook in hooks.items() if isinstance(hook, InputRounding)]:
                del hooks[key]
                module._forward_pre_hooks_with_kwargs.pop(key, None)
        return network


def floating_type(model: nn.Module) -> torch.dtype:
    """Return the floating type that a network gives its outputs in: that of its last parameter.

    Args:
        model: The network.
    """
    kinds = [value.dtype for value in model.parameters() if value.is_floating_point()]
    return kinds[-1] if kinds else torch.float32


def _as(result: Any, dtype: torch.dtype) -> Any:
    """Cast what a network gave, or all tensors in it, to a floating type."""

    def cast(leaf: Tensor) -> Tensor:
        return leaf.to(dtype) if leaf.is_floating_point() else leaf

    return _pytree.tree_map_only(Tensor, cast, result)


def ask_for_gradients(network: nn.Module, model: nn.Module) -> None:
    """Let parameters ask for gradients where those of the user's network do.

    Some modules compute otherwise where nothing asks for gradients: it stays the user's choice.
    """
    wanted = dict(model.named_parameters())
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in wanted or wanted[name].requires_grad)


def _same(one: QuantizedWeight, other: QuantizedWeight) -> bool:
    if one is other:
        return True
    return torch.equal(one.integers, other.integers) and torch.equal(one.values(), other.values())


def _weight_of(model: nn.Module, name: str, weight: QuantizedWeight) -> nn.Parameter:
    try:
        parameter = model.get_submodule(name).get_parameter("weight")
    except AttributeError as error:
        raise NetworkError(f"{type(model).__name__} has no layer {name!r} with a weight") from error
    if parameter.shape != weight.integers.shape:
        raise NetworkError(
            f"the weight of {name} has shape {tuple(parameter.shape)}, "
            f"not {tuple(weight.integers.shape)}"
        )
    return parameter
