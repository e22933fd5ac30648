"""What layers are fed: rounding it, and watching it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gp_emq.errors import NetworkError
from gp_emq.networks import Layer
from gp_emq.quantization._uniform import QuantizationParameters, fake_quantize


class InputRounding:
    """A hook that rounds a layer's input to a grid before the layer is run.

    Args:
        grid: the grid; its tensors follow the input to its device.
    """

    def __init__(self, grid: QuantizationParameters) -> None:
        self._grid = grid

    def __call__(
        self, module: nn.Module, inputs: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Round the first of the inputs, or where all have names the one called input."""
        values = input_of(module, inputs, named)
        rounded = fake_quantize(values, self._grid.to(values.device))
        if inputs:
            return (rounded, *inputs[1:]), dict(named)
        return (), {name: rounded if x is values else x for name, x in named.items()}


def input_of(module: nn.Module, inputs: Sequence[Any], named: Mapping[str, Any]) -> Tensor:
    """Return what a layer's weight is applied to, out of the arguments of a call.

    Args:
        module: the layer.
        inputs: the positional arguments, of which it is the first.
        named: the keyword arguments: without others the one called `input`, or the only tensor.

    Raises:
        NetworkError: if there is no such tensor.
    """
    tensors = [value for value in named.values() if isinstance(value, Tensor)]
    chosen = inputs[0] if inputs else named.get("input", tensors[0] if tensors else None)
    if not isinstance(chosen, Tensor):
        raise NetworkError(f"a {type(module).__name__} is called without a tensor")
    return chosen


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
    model: nn.Module, layers: Sequence[Layer], images: Tensor, see: Callable[[str, Tensor], None]
) -> None:
    """Run some images, and show the name and the input of every call of a layer."""
    handles = []
    for layer in layers:

        def hook(
            module: nn.Module,
            inputs: tuple[Any, ...],
            named: dict[str, Any],
            name: str = layer.name,
        ) -> None:
            see(name, input_of(module, inputs, named).detach())

        module = model.get_submodule(layer.name)
        handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
