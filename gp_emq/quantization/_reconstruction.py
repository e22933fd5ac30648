"""What learned rounding reconstructs: single layers, or the blocks of a network."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks import Layer, PrivateNetwork, Samples, take, undisturbed
from gp_emq.quantization._blocks import find_blocks
from gp_emq.quantization._inputs import round_input
from gp_emq.quantization._learned import LearnedRoundings
from gp_emq.quantization._passes import private
from gp_emq.quantization._quantized_network import QuantizedWeight, layer_weight
from gp_emq.quantization._quantizers import WeightQuantizer
from gp_emq.quantization._recording import Recording, record, watched
from gp_emq.quantization._rounding import Reconstructed, RoundingSettings, learn_rounding
from gp_emq.quantization._uniform import QuantizationParameters

LayerProgress = Callable[[str, int], None]
"""Told the name of a block and how many steps more of its learning are done."""


def reconstruct_layer(
    model: nn.Module | PrivateNetwork,
    layer: Layer,
    bits: int,
    *,
    quantizer: WeightQuantizer,
    activation: QuantizationParameters | None,
    images: Samples,
    settings: RoundingSettings,
    sharing: Mapping[str, QuantizationParameters | None] | None = None,
    report: LayerProgress | None = None,
) -> QuantizedWeight:
    """Learn the rounding of one layer from what the float network feeds it, rounded to its grid.

    The result depends on the layer and its width alone, so that one optimization serves
    every bit configuration.

    Args:
        model: the float network.
        layer: the layer.
        bits: its width.
        quantizer: which chooses its grid.
        activation: the grid of its input, `None` for a float input.
        images: calibration images (n, C, H, W).
        settings: of the optimization.
        sharing: the grids of the inputs of other layers with the very same weight, by name; it is
            learned from what all of them are fed.
        report: told of every step.
    """
    network = private(model)
    grids = {layer.name: activation, **(sharing or {})}
    parts = [
        Reconstructed(
            network.model.get_submodule(name),
            {"weight": layer.name},
            record(network, network, name, images),
        )
        for name in grids
    ]
    weight = layer_weight(network.model, layer)
    handles = [
        round_input(part.module, grid)
        for part, grid in zip(parts, grids.values(), strict=True)
        if grid is not None
    ]
    try:
        return learn_rounding(
            network,
            parts,
            {layer.name: (weight, quantizer.parameters(weight, bits, layer.name))},
            settings,
            step_done=_step(report, layer.name),
        )[layer.name]
    finally:
        for handle in handles:
            handle.remove()


def reconstruct_blocks(
    model: nn.Module | PrivateNetwork,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    *,
    quantizer: WeightQuantizer,
    images: Samples,
    settings: RoundingSettings,
    learned: LearnedRoundings | None = None,
    report: LayerProgress | None = None,
) -> dict[str, QuantizedWeight]:
    """Learn the rounding of a whole bit configuration, block after block (BRECQ).

    Each block is fed what the network gives it whose weights are quantized so far and whose
    activations are float, and its output is held to that of the float block on float input, as
    in BRECQ's code (`save_inp_oup_data` with `asym` and without `act_quant`). All weights of a
    block are learned together; a weight that layers of other blocks share is learned from what
    those are fed, too. The layers of a block that is no function of one tensor are
    reconstructed one by one.

    Args:
        model: the float network.
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
    """
    kept = learned or LearnedRoundings(None)
    network, quantized = private(model), private(model)
    if quantized is network:
        quantized = network.copy_of(network.model)
    owners = weight_owners(network.model, [layer for layer in layers if layer.name in widths])
    blocks = _Blocks(network, quantized, owners, images, settings)
    result: dict[str, QuantizedWeight] = {}
    for block, every in _reconstructible(network, layers, widths, images):
        inside = [layer for layer in every if owners[layer.name] == layer.name]
        if not inside:
            if report is not None:
                report(block, settings.iterations)
            continue
        weights = {layer.name: layer_weight(network.model, layer) for layer in inside}
        grids = {
            name: quantizer.parameters(weight, widths[name], name)
            for name, weight in weights.items()
        }
        shapes = {layer.name: layer.weight_shape for layer in inside}
        key = _key(block, {name: widths[name] for name in (*result, *grids)})
        integers = kept.get(key, shapes)
        if integers is None:
            learning = {name: (weights[name], grids[name]) for name in grids}
            integers = blocks.learn(block, learning, result, _step(report, block))
            kept.put(key, integers)
        elif report is not None:
            report(block, settings.iterations)
        for layer in inside:
            weight = QuantizedWeight(integers[layer.name], grids[layer.name])
            result[layer.name] = weight
            layer_weight(quantized.model, layer).copy_(weight.values())
    return {name: result[owner] for name, owner in owners.items()}


@dataclass(frozen=True)
class _Blocks:
    """What the blocks of one network are learned from.

    Attributes:
        network: the float network.
        quantized: the same, with the weights that are decided so far.
        owners: by name of each layer, the first with the very same weight.
        images: calibration images.
        settings: of the optimization.
    """

    network: PrivateNetwork
    quantized: PrivateNetwork
    owners: Mapping[str, str]
    images: Samples
    settings: RoundingSettings

    def learn(
        self,
        block: str,
        learning: Mapping[str, tuple[Tensor, QuantizationParameters]],
        decided: Mapping[str, QuantizedWeight],
        step_done: Callable[[], None] | None,
    ) -> dict[str, Tensor]:
        """Learn the rounding of a block.

        Args:
            block: its name.
            learning: float weights and their grids, by name of the layer.
            decided: the weights of the blocks before it.
            step_done: called after every step.

        Returns:
            The integers of each weight.
        """
        model = self.network.model
        of_weight = {
            id(model.get_submodule(owner).get_parameter("weight")): owner
            for owner in self.owners.values()
        }
        values = {name: weight.values() for name, weight in decided.items()}
        others = [
            name
            for name, owner in self.owners.items()
            if owner in learning and name != block and not _within(name, block)
        ]
        parts = [
            _part(
                model.get_submodule(name),
                record(self.quantized, self.network, name, self.images),
                of_weight,
                set(learning),
                values,
            )
            for name in (block, *others)
        ]
        found = learn_rounding(self.network, parts, learning, self.settings, step_done=step_done)
        return {name: weight.integers for name, weight in found.items()}


def reconstructed_blocks(
    model: nn.Module | PrivateNetwork,
    layers: Sequence[Layer],
    widths: Mapping[str, int],
    images: Samples,
) -> tuple[str, ...]:
    """Return the names of the blocks that `reconstruct_blocks` learns, in order."""
    found = _reconstructible(private(model), layers, widths, images)
    return tuple(block for block, _ in found)


def weight_owners(model: nn.Module, layers: Sequence[Layer]) -> dict[str, str]:
    """Map the name of each layer to the first that has the very same weight: mostly its own."""
    first: dict[int, str] = {}
    return {
        layer.name: first.setdefault(
            id(model.get_submodule(layer.name).get_parameter("weight")), layer.name
        )
        for layer in layers
    }


def _reconstructible(
    network: PrivateNetwork, layers: Sequence[Layer], widths: Mapping[str, int], images: Samples
) -> list[tuple[str, list[Layer]]]:
    """Return each block that has layers to quantize, with them."""
    found: list[tuple[str, list[Layer]]] = []
    chosen = [layer for layer in layers if layer.name in widths]
    for block in find_blocks(network.model, layers):
        inside = [layer for layer in chosen if layer.name == block or _within(layer.name, block)]
        if not inside:
            continue
        first = take(images, slice(0, 1))
        if inside[0].name == block or _takes_one_tensor(network, block, first):
            found.append((block, inside))
        else:
            found += [(layer.name, [layer]) for layer in inside]
    return found


def _takes_one_tensor(network: PrivateNetwork, block: str, images: Samples) -> bool:
    """Say whether a block is a function of one tensor, which gives one."""
    try:
        with undisturbed(), torch.no_grad():
            calls = watched(network, block, images)
    except NetworkError:
        # The block gives other than a tensor; where the network itself fails, it does so later.
        return False
    given = [(*call.arguments, *call.named.values()) for call in calls]
    return all(len(values) == 1 and isinstance(values[0], Tensor) for values in given)


def _part(
    module: nn.Module,
    recording: Recording,
    owners: Mapping[int, str],
    learned: Collection[str],
    decided: Mapping[str, Tensor],
) -> Reconstructed:
    """Say which of the weights in a module are learned, and which are decided already."""
    places = {
        place: owners[id(parameter)]
        for place, parameter in module.named_parameters(remove_duplicate=False)
        if id(parameter) in owners
    }
    return Reconstructed(
        module,
        {place: owner for place, owner in places.items() if owner in learned},
        recording,
        {place: decided[owner] for place, owner in places.items() if owner in decided},
    )


def _key(block: str, widths: Mapping[str, int]) -> str:
    """Name what is learned: it depends on the widths of the block and of all before it."""
    text = json.dumps([block, widths], sort_keys=True)
    return f"block-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _step(report: LayerProgress | None, name: str) -> Callable[[], None] | None:
    return None if report is None else lambda: report(name, 1)


def _within(name: str, block: str) -> bool:
    return name.startswith(f"{block}.")
