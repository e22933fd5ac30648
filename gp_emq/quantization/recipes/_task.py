"""What a recipe is given: a network, how weights and inputs are quantized, and images."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gp_emq.networks import Layer, PrivateNetwork, Samples
from gp_emq.quantization._learned import LearnedRoundings
from gp_emq.quantization._quantized_network import QuantizedWeight, layer_weight
from gp_emq.quantization._quantizers import WeightQuantizer
from gp_emq.quantization._reconstruction import weight_owners
from gp_emq.quantization._rounding import RoundingSettings
from gp_emq.quantization._uniform import QuantizationParameters

Progress = Callable[[str, int, int], None]
"""Told what is being quantized, and how many steps of how many are done."""


@dataclass(frozen=True)
class Task:
    """A network to quantize, at one plan or at many.

    Attributes:
        network: The float network, a private copy on the CPU; it must not be changed.
        layers: The layers to quantize, in forward order.
        images: Calibration images, float32 (n, C, H, W), or other samples.
        weights: Chooses the grids of weights.
        activations: Grid of each layer's input by name; absent ones stay in float.
        rounding: Settings of learned rounding.
        learned: Where learned rounding is kept, and found if it was interrupted.
        progress: Told what is done, if given.
    """

    network: PrivateNetwork
    layers: tuple[Layer, ...]
    images: Samples
    weights: WeightQuantizer
    activations: Mapping[str, QuantizationParameters]
    rounding: RoundingSettings
    learned: LearnedRoundings = field(default_factory=lambda: LearnedRoundings(None))
    progress: Progress | None = None

    @cached_property
    def owners(self) -> dict[str, str]:
        """By name of each layer the first layer that has the very same weight: mostly itself."""
        return weight_owners(self.network.model, self.layers)

    @property
    def distinct_layers(self) -> tuple[Layer, ...]:
        """The layers without those whose weight is an earlier layer's."""
        return tuple(layer for layer in self.layers if self.owners[layer.name] == layer.name)

    def learned_weight(self, layer: Layer, width: int) -> QuantizedWeight | None:
        """Return what is kept of a layer's learned rounding, None where it is not learned yet."""
        kept = self.learned.get(_key(layer, width), {"integers": layer.weight_shape})
        if kept is None:
            return None
        grid = self.weights.parameters(layer_weight(self.network.model, layer), width)
        return QuantizedWeight(kept["integers"], grid)

    def keep_learned(self, layer: Layer, width: int, weight: QuantizedWeight) -> None:
        """Keep a layer's learned rounding."""
        self.learned.put(_key(layer, width), {"integers": weight.integers})


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


def _key(layer: Layer, width: int) -> str:
    return f"{layer.name}-{width}bits"
