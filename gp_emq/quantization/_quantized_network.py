"""A network whose layers are quantized as a bit configuration says."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.networks import (
    Forward,
    Layer,
    PrivateNetwork,
    Samples,
    check_finite,
    entry_layers,
    places_beside,
    private_copy,
    undisturbed,
)
from gp_emq.quantization._batch_norm import batch_norms
from gp_emq.quantization._fusion import fuse_integer_convolutions
from gp_emq.quantization._inputs import round_input
from gp_emq.quantization._integer import IntegerConv2d, fits_integer_convolution
from gp_emq.quantization._quantizers import WeightQuantizer
from gp_emq.quantization._uniform import QuantizationParameters, quantize


@dataclass(frozen=True)
class QuantizedWeight:
    """One layer's weight on its grid.

    Attributes:
        integers: int16, shaped as the weight.
        parameters: the grid they lie on.
    """

    integers: Tensor
    parameters: QuantizationParameters

    def values(self) -> Tensor:
        """Return the grid values, float32, shaped as the weight."""
        grid, shape = self.parameters, self.integers.shape
        q = self.integers.float().sub_(grid.spread(grid.zero_point, shape))
        return q.mul_(grid.spread(grid.scale, shape))


def quantize_weights(
    model: nn.Module, layers: Sequence[Layer], bits: Sequence[int], quantizer: WeightQuantizer
) -> dict[tuple[int, int], QuantizedWeight]:
    """Round every layer's weight to the nearest grid values at every width.

    Returns:
        The quantized weights by (index of the layer, bits).
    """
    weights = {}
    for index, layer in enumerate(layers):
        weight = layer_weight(model, layer)
        for width in bits:
            parameters = quantizer.parameters(weight, width, layer.name)
            integers = quantize(weight, parameters).to(torch.int16)
            weights[index, width] = QuantizedWeight(integers, parameters)
    return weights


def layer_weight(model: nn.Module, layer: Layer) -> Tensor:
    """Return the weight of a network's layer, without gradient."""
    weight = model.get_submodule(layer.name).weight
    assert isinstance(weight, Tensor)  # noqa: S101 - narrows nn.Module's attribute type
    return weight.detach()


@dataclass(frozen=True)
class Corrections:
    """What a recipe changed in a network once its weights were rounded.

    Attributes:
        statistics: mean and variance of each norm, in the order of `QuantizedNetwork.norms`.
        biases: of the layers that have one, in forward order.
    """

    statistics: list[tuple[Tensor | None, Tensor | None]]
    biases: list[Tensor]


class QuantizedNetwork:
    """A copy of a network that takes on one bit configuration after another.

    Quantized weights are made once per layer and width, so that a further configuration
    costs no more than a pass of the float network.

    Args:
        model: the float network; it is copied.
        layers: its layers in forward order; one that shares its weight with others has the widths
            of their entry.
        weights: quantized weights by (index of the layer, bits).
        activations: the grid of each layer's input, `None` for a float input or for all of them.
        forward: how the network is fed, where that is not with images; see `run`.
        integer: run the convolutions that allow it over integers; on the CPU alone.
        device: where passes are computed; images are brought there, results back.
        keeps: whether a pass may leave something in the network that changes the next one; False
            saves the time to put it back, where that is known not to be so.

    Attributes:
        norms: its batch norms, in the order of those of the float network.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        weights: Mapping[tuple[int, int], QuantizedWeight],
        activations: Sequence[QuantizationParameters | None] | None,
        *,
        forward: Forward | None = None,
        integer: bool = False,
        device: str = "cpu",
        keeps: bool = True,
    ) -> None:
        self._forward = forward
        self._keeps = keeps
        self._device = torch.device(device)
        self.model = private_copy(model).to(self._device)
        check_finite(self.model)
        self._entries = entry_layers(layers)
        self._biases = [
            (bias, bias.data)
            for layer in layers
            if (bias := self.model.get_submodule(layer.name)._parameters.get("bias")) is not None
        ]
        self.norms = batch_norms(self.model)
        self._statistics = copy.deepcopy(
            [(norm.running_mean, norm.running_var) for norm in self.norms]
        )
        widths = {
            index: {bits: weight for (i, bits), weight in weights.items() if i == index}
            for index in range(len(layers))
        }
        modules = [self.model.get_submodule(layer.name) for layer in layers]
        beside = places_beside(self.model, modules)
        self._slots = [
            _slot(
                self.model,
                layer.name,
                widths[index],
                _on_device(activations, index, self._device),
                # What looks at a weight beside its layer has to find it there.
                integer=integer and not beside[id(modules[index].weight)],
            )
            for index, layer in enumerate(layers)
        ]
        if integer:
            self.model = fuse_integer_convolutions(self.model)

    def configure(self, configuration: Sequence[int]) -> None:
        """Take on a bit configuration, with the float network's batch-norm statistics and biases.

        Args:
            configuration: one width per entry.

        Raises:
            ValueError: if its length is not the number of entries.
        """
        if len(configuration) != len(self._entries):
            raise ValueError(
                f"a configuration has {len(self._entries)} entries, not {len(configuration)}"
            )
        # One deep copy of all, so that what norms share stays shared.
        for norm, fresh in zip(self.norms, copy.deepcopy(self._statistics), strict=True):
            norm.running_mean, norm.running_var = fresh
        for bias, values in self._biases:
            bias.data = values
        for width, indices in zip(configuration, self._entries, strict=True):
            for index in indices:
                self._slots[index](int(width))

    def corrections(self) -> "Corrections":
        """Copy what recipes correct once weights are rounded: statistics of norms, and biases."""
        statistics = [(norm.running_mean, norm.running_var) for norm in self.norms]
        # One deep copy of all, so that what norms share stays shared.
        return Corrections(
            copy.deepcopy(statistics), [bias.data.clone() for bias, _ in self._biases]
        )

    def take_corrections(self, found: "Corrections") -> None:
        """Take on statistics and biases that a configuration was given before.

        Args:
            found: what `corrections` gave of the same configuration.
        """
        for norm, own in zip(self.norms, copy.deepcopy(found.statistics), strict=True):
            norm.running_mean, norm.running_var = own
        for (bias, _), values in zip(self._biases, found.biases, strict=True):
            bias.data = values

    def run(self, samples: Samples) -> Any:
        """Feed samples to the network, and return what it gives: logits of images."""
        if self._forward is None:
            return self.logits(samples)
        network = PrivateNetwork(self.model, self._forward, is_private=True)
        with undisturbed(), torch.no_grad():
            return network.run(samples)

    def logits(self, images: Tensor) -> Tensor:
        """Map images (n, C, H, W) to float32 logits (n, classes)."""
        with undisturbed(), torch.no_grad():
            # A copy, for networks that change their images in place.
            there = images.to(self._device, copy=True)
            if there.dim() == 4:
                there = there.contiguous(memory_format=torch.channels_last)
            run = PrivateNetwork(self.model, is_private=True).run if self._keeps else self.model
            result: Tensor = run(there)
        return result.float().cpu()

    def correct(self, images: Tensor, labels: Tensor, batch: int) -> Tensor:
        """Say which images are labelled rightly.

        Args:
            images: float32 (n, C, H, W).
            labels: int64 (n,).
            batch: images per pass; activations that stay in the cache are fastest.

        Returns:
            Bool (n,).
        """
        parts = [self.logits(part).argmax(1) for part in torch.split(images, batch)]
        return torch.cat(parts) == labels


def _on_device(
    grids: Sequence[QuantizationParameters | None] | None, index: int, device: torch.device
) -> QuantizationParameters | None:
    grid = None if grids is None else grids[index]
    return None if grid is None else grid.to(device)


def _slot(
    model: nn.Module,
    name: str,
    weights: Mapping[int, QuantizedWeight],
    activation: QuantizationParameters | None,
    *,
    integer: bool,
) -> Callable[[int], None]:
    """Prepare one layer, and return the function that sets its width."""
    module = model.get_submodule(name)
    if (
        integer
        and activation is not None
        and all(
            fits_integer_convolution(module, activation, w.parameters) for w in weights.values()
        )
    ):
        assert isinstance(module, nn.Conv2d)  # noqa: S101 - narrows; checked just above
        convolution = IntegerConv2d(module, activation)
        packed = {
            bits: convolution.pack(weight.integers, weight.parameters.scale)
            for bits, weight in weights.items()
        }
        model.set_submodule(name, convolution)
        return lambda bits: convolution.take(packed[bits])
    if activation is not None:
        round_input(module, activation)
    device = next(module.parameters()).device
    values = {bits: _channels_last(weight.values()).to(device) for bits, weight in weights.items()}

    def take(bits: int) -> None:
        assert isinstance(module.weight, Tensor)  # noqa: S101 - narrows the attribute type
        module.weight.data = values[bits]

    return take


def _channels_last(weight: Tensor) -> Tensor:
    return weight.contiguous(memory_format=torch.channels_last) if weight.dim() == 4 else weight
