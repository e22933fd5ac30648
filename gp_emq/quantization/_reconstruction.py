"""What learned rounding reconstructs: single layers, or the blocks of a network."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gp_emq.networks import Layer, entry_layers
from gp_emq.quantization._quantized_network import QuantizedWeight, layer_weight
from gp_emq.quantization._quantizers import WeightQuantizer
from gp_emq.quantization._rounding import RoundingSettings, learn_rounding
from gp_emq.quantization._uniform import QuantizationParameters, fake_quantize

_CAPTURE_BATCH = 64


def reconstruct_layer(
    model: nn.Module,
    layer: Layer,
    bits: int,
    *,
    quantizer: WeightQuantizer,
    activation: QuantizationParameters | None,
    images: Tensor,
    settings: RoundingSettings,
) -> QuantizedWeight:
    """Learn the rounding of one layer from what the float network feeds it.

    The result depends on the layer and its width alone, so that one optimization serves
    every bit configuration.

    Args:
        model: the float network, in eval mode.
        layer: the layer.
        bits: its width.
        quantizer: which chooses its grid.
        activation: the grid of its input, `None` for a float input.
        images: calibration images (n, C, H, W).
        settings: of the optimization.
    """
    module = model.get_submodule(layer.name)
    inputs, targets = capture(model, module, images)
    if activation is not None:
        inputs = fake_quantize(inputs, activation)
    grids = {"weight": quantizer.parameters(layer_weight(model, layer), bits)}
    return learn_rounding(module, grids, inputs, targets, settings)["weight"]


def reconstruct_blocks(
    model: nn.Module,
    layers: Sequence[Layer],
    configuration: Sequence[int],
    *,
    quantizer: WeightQuantizer,
    activations: Sequence[QuantizationParameters],
    images: Tensor,
    settings: RoundingSettings,
) -> dict[tuple[int, int], QuantizedWeight]:
    """Learn the rounding of a whole bit configuration, block after block (BRECQ).

    Each block is fed what the network quantized so far gives it, activations included, and
    its output is held to that of the float block on float input. Within the block
    activations stay float, and all its weights are learned together.

    Args:
        model: the float network, in eval mode.
        layers: its layers in forward order.
        configuration: one width per entry.
        quantizer: which chooses the grids.
        activations: the grid of each layer's input.
        images: calibration images (n, C, H, W).
        settings: of the optimization.

    Returns:
        The quantized weights by (index of the layer, bits).
    """
    widths = {
        index: int(bits)
        for bits, indices in zip(configuration, entry_layers(layers), strict=True)
        for index in indices
    }
    index_of = {layer.name: index for index, layer in enumerate(layers)}
    quantized = copy.deepcopy(model)
    for index, layer in enumerate(layers):
        _quantize_input(quantized.get_submodule(layer.name), activations[index])
    result: dict[tuple[int, int], QuantizedWeight] = {}
    for block in find_blocks(model, layers):
        module = model.get_submodule(block)
        inside = [layer for layer in layers if layer.name == block or _within(layer.name, block)]
        grids = {
            _weight_name(layer.name, block): quantizer.parameters(
                layer_weight(model, layer), widths[index_of[layer.name]]
            )
            for layer in inside
        }
        _, targets = capture(model, module, images)
        inputs, _ = capture(quantized, quantized.get_submodule(block), images)
        rounded = learn_rounding(module, grids, inputs, targets, settings)
        for layer in inside:
            weight = rounded[_weight_name(layer.name, block)]
            result[index_of[layer.name], widths[index_of[layer.name]]] = weight
            layer_weight(quantized, layer).copy_(weight.values())
    return result


def find_blocks(model: nn.Module, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the names of a network's blocks in forward order.

    A block is the outermost module within the containers of a network (its root, sequences
    and lists of modules) that holds layers: a residual block, or a single layer.
    """
    blocks: list[str] = []
    for layer in layers:
        parts = layer.name.split(".")
        name = layer.name
        for depth in range(1, len(parts)):
            outer = ".".join(parts[:depth])
            if not isinstance(model.get_submodule(outer), (nn.Sequential, nn.ModuleList)):
                name = outer
                break
        if name not in blocks:
            blocks.append(name)
    return tuple(blocks)


def capture(model: nn.Module, module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a module of a network is fed and gives, (n, ...) each, for some images."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def before(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0].clone())

    def after(_module: nn.Module, _arguments: object, output: Tensor) -> None:
        outputs.append(output.clone())

    handles = [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        with torch.no_grad():
            for batch in torch.split(images, _CAPTURE_BATCH):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    return torch.cat(inputs), torch.cat(outputs)


def _quantize_input(module: nn.Module, parameters: QuantizationParameters) -> None:
    def quantize_input(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (fake_quantize(inputs[0], parameters), *inputs[1:])

    module.register_forward_pre_hook(quantize_input)


def _within(name: str, block: str) -> bool:
    return name.startswith(f"{block}.")


def _weight_name(layer: str, block: str) -> str:
    return "weight" if layer == block else f"{layer[len(block) + 1 :]}.weight"
