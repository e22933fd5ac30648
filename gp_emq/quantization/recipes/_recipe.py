"""What a recipe is made of: how weights are rounded, and what is corrected afterwards."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from gp_emq.networks import Layer, Samples, undisturbed
from gp_emq.quantization._batch_norm import batch_norms
from gp_emq.quantization._quantized_model import QuantizedModel
from gp_emq.quantization._quantized_network import QuantizedWeight
from gp_emq.quantization._reconstruction import LayerProgress
from gp_emq.quantization.recipes._task import Counter, Task


@dataclass(frozen=True)
class RoundedNetwork:
    """A network whose weights are rounded already, for what is corrected then.

    Attributes:
        model: The network, whose layers have the names of the float network's.
        norms: Its batch norms, in the order of those of the float network.
        run: Runs images (n, C, H, W), or other samples, on one thread and without gradients.
    """

    model: nn.Module
    norms: Sequence[_NormBase]
    run: Callable[[Samples], Any]


@dataclass(frozen=True)
class Recipe:
    """One way from a float network to a quantized one.

    Exactly one of `round_layer` and `round_network` is given.

    Attributes:
        name: By which it is found.
        description: One line.
        round_layer: Rounds one layer's weight to a width, whatever the other layers have, so
            that what is learned serves every bit configuration. It reports its steps, if it
            learns; keeping what is learned is not its matter.
        round_network: Rounds the weights of all layers to their widths by name. It counts and
            keeps what it learns by itself, and may leave out layers that have another's weight.
        correct: Given a task, returns what is done to each network of it once its weights are
            rounded; what the float network gives is computed once.
        iterations: Steps of learning for each layer or block unless the user says otherwise;
            0 where nothing is learned.
        moves_biases: Whether `correct` moves the biases of layers: otherwise it moves statistics of
            batch norms alone.
    """

    name: str
    description: str
    round_layer: Callable[[Task, Layer, int, LayerProgress], QuantizedWeight] | None = None
    round_network: Callable[[Task, Mapping[str, int]], Mapping[str, QuantizedWeight]] | None = None
    correct: Callable[[Task], Callable[[RoundedNetwork], None]] | None = None
    iterations: int = 0
    moves_biases: bool = False

    def __post_init__(self) -> None:
        if (self.round_layer is None) == (self.round_network is None):
            raise ValueError(f"recipe {self.name} needs either round_layer or round_network")

    @property
    def learns(self) -> bool:
        """Whether it takes steps of learning, and is worth resuming."""
        return self.iterations > 0

    @property
    def learns_layers(self) -> bool:
        """Whether what it learns of a layer at a width serves every plan."""
        return self.learns and self.round_layer is not None

    @property
    def renews_norms(self) -> bool:
        """Whether it makes up for what rounding does to a channel's scale and shift.

        What is learned for a whole plan does so, too, as far as can be said before there is a plan.
        """
        of_norms = self.correct is not None and not self.moves_biases
        return of_norms or (self.learns and not self.learns_layers)

    @property
    def modules(self) -> tuple[str, ...]:
        """Names of the modules that it is made in, for the hash of its code."""
        return _modules(self.round_layer, self.round_network, self.correct)

    @property
    def rounding_modules(self) -> tuple[str, ...]:
        """Names of the modules that round, whatever is corrected afterwards."""
        return _modules(self.round_layer, self.round_network)

    def rounded(
        self,
        task: Task,
        layer: Layer,
        width: int,
        report: LayerProgress = lambda _name, _steps: None,
    ) -> QuantizedWeight:
        """Round one layer's weight, or give what is kept of it; for recipes with `round_layer`.

        Args:
            task: The network.
            layer: One of its layers with a weight of its own.
            width: Its width.
            report: Told its name and steps, one for all where nothing is learned.
        """
        assert self.round_layer is not None  # noqa: S101 - narrows; see above
        if not self.learns:
            weight = self.round_layer(task, layer, width, report)
            report(layer.name, 1)
            return weight
        kept = task.learned_weight(layer, width)
        if kept is not None:
            report(layer.name, task.rounding.iterations)
            return kept
        weight = self.round_layer(task, layer, width, report)
        task.keep_learned(layer, width, weight)
        return weight

    def weights(self, task: Task, widths: Mapping[str, int]) -> dict[str, QuantizedWeight]:
        """Round the weights of all layers.

        Args:
            task: The network.
            widths: The width of each of its layers by name.

        Returns:
            By name of the layer; those that share a weight have the same.
        """
        if self.round_network is not None:
            found = self.round_network(task, widths)
        else:
            steps = task.rounding.iterations if self.learns else 1
            counter = Counter(task.progress, steps * len(task.distinct_layers))
            found = {
                layer.name: self.rounded(task, layer, widths[layer.name], counter.advance)
                for layer in task.distinct_layers
            }
        return {name: found[owner] for name, owner in task.owners.items()}

    def quantize(self, task: Task, widths: Mapping[str, int]) -> QuantizedModel:
        """Make the quantized network; it asks for gradients as the private copy does.

        Args:
            task: The network.
            widths: The width of each of its layers by name.
        """
        made = QuantizedModel(task.network.model, self.weights(task, widths), task.activations)
        if self.correct is not None:
            network = task.network.copy_of(made.network)
            norms = batch_norms(network.model)
            with undisturbed(), torch.no_grad():
                self.correct(task)(RoundedNetwork(network.model, norms, network.run))
            for norm, corrected in zip(batch_norms(made.network), norms, strict=True):
                norm.running_mean, norm.running_var = corrected.running_mean, corrected.running_var
            if self.moves_biases:
                for name in made.weights:
                    _take_bias(made.network.get_submodule(name), network.model.get_submodule(name))
        return made


def _modules(*steps: Callable[..., Any] | None) -> tuple[str, ...]:
    return tuple(sorted({step.__module__ for step in steps if step is not None}))


def _take_bias(module: nn.Module, corrected: nn.Module) -> None:
    bias, other = getattr(module, "bias", None), getattr(corrected, "bias", None)
    if isinstance(bias, nn.Parameter) and isinstance(other, nn.Parameter):
        bias.data = other.data.to(bias)
