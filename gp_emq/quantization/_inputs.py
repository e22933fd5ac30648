"""Rounding what layers are fed, and choosing the grids for it."""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from gp_emq.errors import NetworkError
from gp_emq.networks import Layer
from gp_emq.quantization._quantizers import ActivationQuantizer
from gp_emq.quantization._uniform import QuantizationParameters, fake_quantize


class InputRounding:
    """A hook that rounds a layer's first input to a grid before the layer is run.

    Args:
        grid: the grid; its tensors follow the input to its device.
    """

    def __init__(self, grid: QuantizationParameters) -> None:
        self._grid = grid

    def __call__(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Round the first of the inputs."""
        first = inputs[0]
        return (fake_quantize(first, self._grid.to(first.device)), *inputs[1:])


def round_input(module: nn.Module, grid: QuantizationParameters) -> RemovableHandle:
    """Let a module round its first argument to a grid, whenever it is called from now on.

    Args:
        module: the module.
        grid: the grid.

    Returns:
        What removes the rounding.
    """
    return module.register_forward_pre_hook(InputRounding(grid))


def calibrate_activations(
    model: nn.Module, layers: Sequence[Layer], images: Tensor, quantizer: ActivationQuantizer
) -> tuple[QuantizationParameters, ...]:
    """Choose the grid of every layer's input from one batch through the float network.

    The grid of a layer that one pass calls several times is chosen from all of its inputs.

    Args:
        model: the float network, in eval mode.
        layers: its layers.
        images: float32 (n, C, H, W).
        quantizer: how inputs are quantized.

    Returns:
        One grid per layer, in the order of `layers`.

    Raises:
        NetworkError: if a layer is not called.
    """
    calls: Counter[str] = Counter()
    _watch_inputs(model, layers, images[:1], lambda name, _values: calls.update([name]))
    for layer in layers:
        if not calls[layer.name]:
            raise NetworkError(f"layer {layer.name!r} is never called by {type(model).__name__}")
    found: dict[str, QuantizationParameters] = {}
    parts: dict[str, list[Tensor]] = {layer.name: [] for layer in layers}

    def choose(name: str, values: Tensor) -> None:
        if calls[name] == 1:
            found[name] = quantizer.parameters(values)
            return
        parts[name].append(values.flatten().clone())
        if len(parts[name]) == calls[name]:
            found[name] = quantizer.parameters(torch.cat(parts.pop(name)))

    _watch_inputs(model, layers, images, choose)
    return tuple(found[layer.name] for layer in layers)


def _watch_inputs(
    model: nn.Module, layers: Sequence[Layer], images: Tensor, see: Callable[[str, Tensor], None]
) -> None:
    """Run some images, and show the input of every call of a layer."""
    handles = []
    for layer in layers:

        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], name: str = layer.name) -> None:
            see(name, inputs[0].detach())

        handles.append(model.get_submodule(layer.name).register_forward_pre_hook(hook))
    try:
        with torch.no_grad():
            model(images)
    finally:
        for handle in handles:
            handle.remove()
