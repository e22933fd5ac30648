"""What quantizing a layer's weight does to its own output, on the inputs of the float network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.networks import (
    Call,
    Layer,
    PrivateNetwork,
    Samples,
    is_linear_map,
    split,
    watching,
    zero_bias,
)
from gp_emq.statistics._activations import Activations, by_image, joined
from gp_emq.statistics._batch import Batch
from gp_emq.statistics._layout import Layout
from gp_emq.statistics._network import FunctionalNetwork

_OPERATORS = {nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear}
"""Layers whose forward is an operator on their input, weight and bias, and reads nothing else."""


@dataclass(frozen=True)
class Changed:
    """One call of a layer.

    Attributes:
        output: What the layer gave, before a user's hooks.
        changes: For each width, what quantizing its weight alone adds to that; each is computed
            when it is asked for, and once.
    """

    output: Tensor
    changes: Iterator[Tensor]


def changed(
    network: FunctionalNetwork, images: Samples, perturbations: Sequence[Tensor]
) -> Iterator[list[Changed]]:
    """Run the float network once, and every layer again at every width on what it was fed.

    Args:
        network: The network.
        images: (n, ...), run together.
        perturbations: For each layer its quantized weight minus its weight, (bits, ...).

    Yields:
        For each layer its calls.
    """
    with torch.no_grad():
        with watching(network.modules, around_hooks=True) as records:
            network.outputs(network.weights(), images)
        for module, calls, moved in zip(network.modules, records, perturbations, strict=True):
            yield [changed_call(network.network, module, call, moved) for call in calls]


def changed_call(
    network: PrivateNetwork, module: nn.Module, call: Call, perturbation: Tensor
) -> Changed:
    """Run one call of a layer again at every width.

    Where the module is linear in its weight, it is run for the perturbation alone, which is what
    the difference of two outputs would come to but for rounding.

    Args:
        network: The network that the module is of.
        module: The layer.
        call: What it was called with, before a user's hooks.
        perturbation: (bits, ...), quantized weight minus weight.
    """
    moved = perturbation.to(network.device)
    if is_linear_map(module):
        found = _of_operator if type(module) in _OPERATORS else _of_linear_map
        return Changed(call.output.detach().float(), found(network, module, call, moved))
    parameter = module._parameters["weight"]  # or what a pass put in its place
    assert parameter is not None  # noqa: S101 - layers have one
    weight = parameter.detach()
    output = _own_output(network, module, call, {"weight": weight})
    quantized = (_own_output(network, module, call, {"weight": weight + one}) for one in moved)
    return Changed(output, (value - output for value in quantized))


def _of_operator(
    _network: PrivateNetwork, module: nn.Module, call: Call, moved: Tensor
) -> Iterator[Tensor]:
    value = call.input.detach().float()
    for one in moved:
        if isinstance(module, nn.Linear):
            yield functional.linear(value, one)
        else:
            yield module._conv_forward(value, one, None)  # type: ignore[operator]


def _of_linear_map(
    network: PrivateNetwork, module: nn.Module, call: Call, moved: Tensor
) -> Iterator[Tensor]:
    bias = zero_bias(module)
    return (_own_output(network, module, call, {"weight": one, **bias}) for one in moved)


def _own_output(
    network: PrivateNetwork, module: nn.Module, call: Call, given: Mapping[str, Tensor]
) -> Tensor:
    """Call a layer, and take what it gives before a user's hooks change it."""
    if is_linear_map(module):  # without hooks, and much quicker where nothing watches it
        output: Tensor = network.call(module, call.arguments, call.named, given)
        return output.float()
    with watching([module]) as records:
        network.call(module, call.arguments, call.named, given)
    return records[0][-1].output.float()


def output_change(
    network: FunctionalNetwork,
    batch: Batch,
    kept: Tensor,
    perturbations: Sequence[Tensor],
    *,
    by_rows: bool,
) -> Activations:
    """Record what quantizing each layer alone changes in its own output.

    Args:
        network: The network.
        batch: The calibration batch.
        kept: int64 (k,), the images to run.
        perturbations: As for `changed`.
        by_rows: As for `activation`, whose positions these are.

    Returns:
        Values of float32 (bits, M).
    """
    images, _ = batch.pick(kept)
    widths = range(len(perturbations[0]))
    parts: list[list[list[list[Tensor]]]] = [[] for _ in widths]
    for some in split(images, len(kept) if by_rows else 1):
        layers = [
            [tuple(call.changes) for call in calls]
            for calls in changed(network, some, perturbations)
        ]
        for width in widths:
            parts[width].append(
                [
                    by_image(layer, [changes[width] for changes in calls], by_rows=by_rows)
                    for layer, calls in zip(network.layers, layers, strict=True)
                ]
            )
    rows = Activations(torch.empty(0), (), torch.empty(0))
    values: Tensor | None = None
    for width in widths:
        # A width's parts are let go as soon as they are copied: together they are large.
        rows = joined(network.layers, iter(parts[width]), len(kept))
        parts[width] = []
        values = torch.empty(len(widths), len(rows.values)) if values is None else values
        values[width] = rows.values
    assert values is not None  # noqa: S101 - there is a width
    return Activations(values, rows.shapes, rows.elements)


def output_residual(
    change: Tensor, output: Tensor, layout: Layout, owners: Sequence[Layer], elements: Tensor
) -> Tensor:
    """Give what no scale and shift of each channel undoes of a change of outputs.

    With y the float output and y + Δ the quantized one, over all kept positions of one channel,
    it is Δ − (s·y + t) with the s and t of least squares: the residual of the quantized output's
    regression on the float output. A channel whose output is the same everywhere keeps Δ less
    its mean.

    Args:
        change: float32 (bits, M), Δ.
        output: float32 (M,), y.
        layout: Where the layers lie.
        owners: The layer of each tensor.
        elements: int64 (layers, k), see `Activations`.

    Returns:
        float32 (bits, M).
    """
    residual = torch.empty_like(change)
    layers = zip(layout.views(output), owners, elements, strict=True)
    for place, (values, layer, counts) in enumerate(layers):
        channels = channel_numbers(values.shape, layer, counts)
        here = slice(layout.offsets[place], layout.offsets[place + 1])
        count = torch.bincount(channels).double()
        y = _centred(values.reshape(-1).double(), channels, count)
        squares = torch.bincount(channels, y * y)
        for width, row in enumerate(change):
            delta = _centred(row[here].double(), channels, count)
            slope = torch.bincount(channels, y * delta) / squares
            # Without any spread there is no slope.
            slope = torch.where(squares > 0, slope, torch.zeros_like(slope))
            residual[width, here] = (delta - slope[channels] * y).float()
    return residual


def _centred(values: Tensor, channels: Tensor, count: Tensor) -> Tensor:
    """Take each channel's mean away, (M,)."""
    return values - (torch.bincount(channels, values) / count)[channels]


def channel_numbers(shape: Sequence[int], layer: Layer, counts: Tensor) -> Tensor:
    """Number the channel of every element of a layer's activation.

    Args:
        shape: Of the tensor; it has one axis where images differ and lie end to end.
        layer: The layer: channels are the second axis of a convolution's output and the last of
            a product's, or of an embedding's.
        counts: int64 (k,), how many elements are of each image.

    Returns:
        int64 (elements,).
    """
    is_convolution = layer.is_convolution
    if len(shape) > 1:
        numbers = torch.arange(shape[1 if is_convolution else -1])
        numbers = numbers.view(-1, *[1] * (len(shape) - 2)) if is_convolution else numbers
        return numbers.expand(*shape).reshape(-1)
    numbers = torch.arange(layer.output_channels)
    positions = (int(count) // len(numbers) for count in counts)
    return torch.cat(
        [
            numbers.repeat_interleave(times) if is_convolution else numbers.repeat(times)
            for times in positions
        ]
    )
