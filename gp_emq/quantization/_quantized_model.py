"""A network quantized once and for all: what is evaluated, saved and exported."""

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.quantization._inputs import InputRounding, round_input
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._uniform import QuantizationParameters


class QuantizedModel(nn.Module):
    """A copy of a network with weights on their grids, and inputs of layers rounded to theirs.

    It computes in floating point what the quantized network would: `network` holds grid values
    where a layer is quantized, and everything else (biases, batch norm, layers kept in float) as
    it was given.

    Args:
        model: The float network; it is copied and put in eval mode.
        weights: Quantized weights by name of the layer; layers that are absent stay in float.
        activations: Grid of the input by name of the layer; absent ones take float inputs.

    Attributes:
        network: The copy.
        weights: As given.
        activations: As given.

    Raises:
        NetworkError: A name is no module of the network with a weight of that shape.
    """

    network: nn.Module

    def __init__(
        self,
        model: nn.Module,
        weights: Mapping[str, QuantizedWeight],
        activations: Mapping[str, QuantizationParameters],
    ) -> None:
        super().__init__()
        self.network = copy.deepcopy(model).eval()
        self.weights = dict(weights)
        self.activations = dict(activations)
        for name, weight in self.weights.items():
            _take_weight(self.network, name, weight)
        for name, grid in self.activations.items():
            round_input(self.network.get_submodule(name), grid)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W) to what the network gives for them, such as logits."""
        result: Tensor = self.network(images)
        return result

    def without_rounded_inputs(self) -> nn.Module:
        """Return a copy of the network that has the quantized weights and takes float inputs."""
        network = copy.deepcopy(self.network)
        for module in network.modules():
            hooks = module._forward_pre_hooks
            for key in [key for key, hook in hooks.items() if isinstance(hook, InputRounding)]:
                del hooks[key]
        return network


def _take_weight(model: nn.Module, name: str, weight: QuantizedWeight) -> None:
    try:
        parameter = model.get_submodule(name).get_parameter("weight")
    except AttributeError as error:
        raise NetworkError(f"{type(model).__name__} has no layer {name!r} with a weight") from error
    if parameter.shape != weight.integers.shape:
        raise NetworkError(
            f"the weight of {name} has shape {tuple(parameter.shape)}, "
            f"not {tuple(weight.integers.shape)}"
        )
    parameter.data = weight.values().to(parameter.device)
