"""What a method is given: a network, the widths of its layers, and images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from gp_emq.networks import Layer, PrivateNetwork, Samples
from gp_emq.ptq._settings import QuantizationSettings
from gp_emq.quantization import (
    LearnedRoundings,
    QuantizationParameters,
    QuantizedModel,
    QuantizedWeight,
    RoundingSettings,
    calibrate_activations,
    weight_owners,
)

Progress = Callable[[str, int, int], None]
"""Told what is being quantized, and how many steps of how many are done."""


@dataclass(frozen=True)
class Task:
    """A network to quantize.

    Attributes:
        network: The float network, a private copy on the CPU; it must not be changed.
        layers: The layers to quantize, in forward order.
        widths: Their widths by name.
        images: Calibration images, float32 (n, C, H, W), or other samples.
        settings: How.
        rounding: Settings of learned rounding.
        learned: Where learned rounding is kept, and found if it was interrupted.
        progress: Told what is done, if given.
    """

    network: PrivateNetwork
    layers: tuple[Layer, ...]
    widths: Mapping[str, int]
    images: Samples
    settings: QuantizationSettings
    rounding: RoundingSettings
    learned: LearnedRoundings
    progress: Progress | None = None

    @cached_property
    def activations(self) -> dict[str, QuantizationParameters]:
        """Grid of each layer's input by name; empty where activations stay in float."""
        quantizer = self.settings.activations
        if quantizer is None:
            return {}
        grids = calibrate_activations(self.network, self.layers, self.images, quantizer)
        return {layer.name: grid for layer, grid in zip(self.layers, grids, strict=True)}

    @cached_property
    def owners(self) -> dict[str, str]:
        """By name of each layer the first layer that has the very same weight: mostly itself."""
        return weight_owners(self.network.model, self.layers)

    @property
    def distinct_layers(self) -> tuple[Layer, ...]:
        """The layers without those whose weight is an earlier layer's."""
        return tuple(layer for layer in self.layers if self.owners[layer.name] == layer.name)

    def finish(self, weights: Mapping[str, QuantizedWeight]) -> QuantizedModel:
        """Make the quantized network.

        Args:
            weights: By name, of the distinct layers.
        """
        shared = {name: weights[owner] for name, owner in self.owners.items()}
        return QuantizedModel(self.network.model, shared, self.activations)


class Counter:
    """Counts the steps of a task and tells its progress.

    Args:
        progress: What to tell, if anything.
        total: Steps there are.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._done = 0
        self._total = total

    def advance(self, name: str, steps: int = 1) -> None:
        """Count some steps of what is being quantized."""
        self._done += steps
        if self._progress is not None:
            self._progress(name, self._done, self._total)
