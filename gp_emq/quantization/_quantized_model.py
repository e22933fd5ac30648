"""A network quantized once and for all: what is evaluated, saved and exported."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError, QuantizationError
from gp_emq.networks import (
    Types,
    check_finite,
    leaves_of,
    mapped,
    own_names,
    private_copy,
    unwrapped,
    with_leaves,
)
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
        dtype: Floating type of the outputs; by default that of the network, see `floating_type`.

    Attributes:
        network: The copy.
        weights: As given.
        activations: As given.
        dtype: Floating type of the outputs, or of each floating tensor in them, in their order.
        dtype_is_stated: Whether that is another than `floating_type` says of the network.

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
        self.dtype: torch.dtype | Types = dtype or floating_type(model)
        self.dtype_is_stated = False
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
        copied = mapped(Tensor.clone, _as((inputs, named), kind))
        return _as(self.network(*copied[0], **copied[1]), self.dtype)

    def give(self, types: Types) -> None:
        """Give outputs in floating types, one for each tensor of them.

        Args:
            types: As `output_types` finds them in the float network.
        """
        one = types[0] if len(set(types)) == 1 else types
        if types and one != self.dtype:
            self.dtype, self.dtype_is_stated = one, True

    def give_as(self, other: "QuantizedModel") -> None:
        """Give outputs in the floating types of another quantized model of the same network."""
        self.dtype, self.dtype_is_stated = other.dtype, other.dtype_is_stated

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


def _as(result: Any, dtype: torch.dtype | Types) -> Any:
    """Cast what a network gave, or all tensors in it, to a floating type, or to one each."""
    leaves = leaves_of(result)
    places = [
        place
        for place, leaf in enumerate(leaves)
        if isinstance(leaf, Tensor) and leaf.is_floating_point()
    ]
    types = dtype if isinstance(dtype, tuple) else (dtype,) * len(places)
    if len(types) == len(places):  # else the network gives now this, now that
        for place, kind in zip(places, types, strict=True):
            leaves[place] = leaves[place].to(kind)
    return with_leaves(result, leaves)


def ask_for_gradients(network: nn.Module, model: nn.Module) -> None:
    """Let parameters ask for gradients where those of the user's network do.

    Some modules compute otherwise where nothing asks for gradients: it stays the user's choice.
    """
    wanted, own = dict(model.named_parameters()), own_names(network)
    for name, parameter in network.named_parameters():
        theirs = wanted.get(name, wanted.get(own.get(name, name)))
        parameter.requires_grad_(theirs is None or theirs.requires_grad)


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
