"""What learned rounding reconstructs: single layers, or the blocks of a network."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from gp_emq.errors import QuantizationError
from gp_emq.networks import Layer
from gp_emq.quantization._blocks import NotOneTensorError, capture, find_blocks
from gp_emq.quantization._learned import LearnedRoundings
from gp_emq.quantization._quantized_network import QuantizedWeight, layer_weight
from gp_emq.quantization._quantizers import WeightQuantizer
from gp_emq.quantization._rounding import RoundingSettings, learn_rounding
from gp_emq.quantization._uniform import QuantizationParameters, fake_quantize

Report = Callable[[str, int], None]
"""Told the name of a block and how many steps more of its learning are done."""


def reconstruct_layer(
    model: nn.Module,
    layer: Layer,
    bits: int,
    *,
    quantizer: WeightQuantizer,
    activation: QuantizationParameters | None,
    images: Tensor,
    settings: RoundingSettings,
    report: Report | None = None,
) -> QuantizedWeight:
    """Learn the rounding of one layer from what the float network feeds it, rounded to its grid.

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
        report: told of every step.

    Raises:
        QuantizationError: if the layer is called with other than one tensor.
    """
    module = model.get_submodule(layer.name)
    inputs, targets = _captured_layer(model, layer.name, images)
    if activation is not None:
        inputs = fake_quantize(inputs, activation)
    grids = {"weight": quantizer.parameters(layer_weight(model, layer), bits)}
    step = _step(report, layer.name)
    return learn_rounding(module, grids, inputs, targets, settings, step_done=step)["weight"]


def reconstruct_blocks(
    model: nn.Module,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    *,
    quantizer: WeightQuantizer,
    images: Tensor,
    settings: RoundingSettings,
    learned: LearnedRoundings | None = None,
    report: Report | None = None,
) -> dict[str, QuantizedWeight]:
    """Learn the rounding of a whole bit configuration, block after block (BRECQ).

    Each block is fed what the network gives it whose weights are quantized so far and whose
    activations are float, and its output is held to that of the float block on float input, as
    in BRECQ's code (`save_inp_oup_data` with `asym` and without `act_quant`). All weights of a
    block are learned together. The layers of a block that is no function of one tensor are
    reconstructed one by one.

    Args:
        model: the float network, in eval mode.
        layers: its layers in forward order.
        widths: the width of each layer by name; layers without one stay in float.
        quantizer: which chooses the grids.
        images: calibration images (n, C, H, W).
        settings: of the optimization.
        learned: keeps what is learned of each block, and gives what was learned before of the
            same blocks at the same widths; everything else must be the same.
        report: told of every step, and of all steps at once where a block was learned before.

    Returns:
        The quantized weights by name of the layer.

    Raises:
        QuantizationError: if a layer outside of such blocks is called with other than one tensor.
    """
    kept = learned or LearnedRoundings(None)
    quantized = copy.deepcopy(model)
    result: dict[str, QuantizedWeight] = {}
    for block, inside in _reconstructible(model, layers, widths, images):
        grids = {
            layer.name: quantizer.parameters(layer_weight(model, layer), widths[layer.name])
            for layer in inside
        }
        shapes = {layer.name: layer.weight_shape for layer in inside}
        key = _key(block, {name: widths[name] for name in (*result, *grids)})
        integers = kept.get(key, shapes)
        if integers is None:
            _, targets = _captured_layer(model, block, images)
            inputs, _ = _captured_layer(quantized, block, images)
            integers = _learn(
                model.get_submodule(block),
                block,
                grids,
                inputs=inputs,
                targets=targets,
                settings=settings,
                step_done=_step(report, block),
            )
            kept.put(key, integers)
        elif report is not None:
            report(block, settings.iterations)
        for layer in inside:
            weight = QuantizedWeight(integers[layer.name], grids[layer.name])
            result[layer.name] = weight
            layer_weight(quantized, layer).copy_(weight.values())
    return result


def reconstructed_blocks(
    model: nn.Module, layers: Sequence[Layer], widths: Mapping[str, int], images: Tensor
) -> tuple[str, ...]:
    """Return the names of the blocks that `reconstruct_blocks` learns, in order."""
    return tuple(block for block, _ in _reconstructible(model, layers, widths, images))


def _reconstructible(
    model: nn.Module, layers: Sequence[Layer], widths: Mapping[str, int], images: Tensor
) -> list[tuple[str, list[Layer]]]:
    """Return each block that has layers to quantize, with them."""
    found: list[tuple[str, list[Layer]]] = []
    chosen = [layer for layer in layers if layer.name in widths]
    for block in find_blocks(model, layers):
        inside = [layer for layer in chosen if layer.name == block or _within(layer.name, block)]
        try:
            if inside:
                capture(model, model.get_submodule(block), images[:1])
                found.append((block, inside))
        except NotOneTensorError:
            found += [(layer.name, [layer]) for layer in inside]
    return found


def _captured_layer(model: nn.Module, name: str, images: Tensor) -> tuple[Tensor, Tensor]:
    try:
        return capture(model, model.get_submodule(name), images)
    except NotOneTensorError:
        raise QuantizationError(
            f"the rounding of layer {name!r} cannot be learned, because it is called with other "
            "than one tensor: round to nearest, or leave it in float"
        ) from None


def _learn(
    module: nn.Module,
    block: str,
    grids: Mapping[str, QuantizationParameters],
    *,
    inputs: Tensor,
    targets: Tensor,
    settings: RoundingSettings,
    step_done: Callable[[], None] | None,
) -> dict[str, Tensor]:
    """Learn the rounding of one block, and return the integers by name of the layer."""
    named = {_weight_name(name, block): grid for name, grid in grids.items()}
    rounded = learn_rounding(module, named, inputs, targets, settings, step_done=step_done)
    return {name: rounded[_weight_name(name, block)].integers for name in grids}


def _key(block: str, widths: Mapping[str, int]) -> str:
    """Name what is learned: it depends on the widths of the block and of all before it."""
    text = json.dumps([block, widths], sort_keys=True)
    return f"block-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _step(report: Report | None, name: str) -> Callable[[], None] | None:
    return None if report is None else lambda: report(name, 1)


def _within(name: str, block: str) -> bool:
    return name.startswith(f"{block}.")


def _weight_name(layer: str, block: str) -> str:
    return "weight" if layer == block else f"{layer[len(block) + 1 :]}.weight"
