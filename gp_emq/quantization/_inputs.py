"""What layers are fed: rounding it, and watching it."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gp_emq.networks import Layer, PrivateNetwork, Samples, input_of, with_input
from gp_emq.quantization._uniform import QuantizationParameters, fake_quantize


class InputRounding:
    """A hook that rounds a layer's input to a grid before the layer is run.

    Args:
        grid: the grid; its tensors follow the input to its device.
    """

    def __init__(self, grid: QuantizationParameters) -> None:
        self._grid = grid

    def __call__(
        self, _module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Round the first of the inputs, or where all have names the one called input."""
        values = input_of(inputs, named)
        return with_input(inputs, named, fake_quantize(values, self._grid.to(values.device)))


def round_input(module: nn.Module, grid: QuantizationParameters) -> RemovableHandle:
    """Let a module round its input to a grid, whenever it is called from now on.

    Args:
        module: the module.
        grid: the grid.

    Returns:
        What removes the rounding.
    """
    return module.register_forward_pre_hook(InputRounding(grid), with_kwargs=True)


def watch_inputs(
    network: PrivateNetwork,
    layers: Sequence[Layer],
    images: Samples,
    see: Callable[[str, Tensor], None],
) -> None:
    """Run some images, and show the name and the input of every call of a layer.

    Run it inside `undisturbed()`.
    """
    with contextlib.ExitStack() as stack, torch.no_grad():
        for layer in layers:

            def hook(
                _module: nn.Module,
                inputs: tuple[Any, ...],
                named: dict[str, Any],
                name: str = layer.name,
            ) -> None:
                see(name, input_of(inputs, named).detach())

            module = network.model.get_submodule(layer.name)
            stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
        network.run(images)
