"""A network as a function of its layers' weights."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.errors import StatisticsError
from gp_emq.networks import (
    Layer,
    PrivateNetwork,
    Samples,
    Workload,
    check_classes,
    count,
    split,
    weight_layers,
)


class FunctionalNetwork:
    """Logits and loss of a network as functions of the weights of its layers.

    All of its methods belong inside `undisturbed()`.

    Args:
        network: The network's private copy.
        layers: Its layers, in the order in which weights are given and returned.
        workload: How its outputs are judged.
    """

    def __init__(
        self, network: PrivateNetwork, layers: Sequence[Layer], workload: Workload
    ) -> None:
        self.network = network
        self.workload = workload
        self.layers = tuple(layers)
        self.weight_layers = weight_layers(layers)
        for layer in self.layers:
            if f"{layer.name}.weight" not in network.parameters:
                raise StatisticsError(
                    f"the network has no layer {layer.name!r} with a weight of its own"
                )
        self.device = network.device
        self._changes: Sequence[Tensor] | None = None

    def moved(self, changes: Sequence[Tensor]) -> "FunctionalNetwork":
        """Give the same network at other weights.

        Args:
            changes: What is added to the weight of each of the `weight_layers`.
        """
        other = copy.copy(self)
        other._changes = [change.to(self.device) for change in changes]
        return other

    @property
    def modules(self) -> list[nn.Module]:
        """The layers' modules."""
        return [self.network.model.get_submodule(layer.name) for layer in self.layers]

    def weights(self, transform: Callable[[Tensor], Tensor] | None = None) -> list[Tensor]:
        """Fresh leaf variables with the layers' weights, one for each distinct weight.

        Args:
            transform: Applied to the values, if given.
        """
        leaves = []
        for place, layer in enumerate(self.weight_layers):
            value = self.network.parameters[f"{layer.name}.weight"].detach().clone()
            if self._changes is not None:
                value += self._changes[place]
            if transform is not None:
                value = transform(value).clone()
            leaves.append(value.requires_grad_())
        return leaves

    def outputs(
        self,
        weights: Sequence[Tensor],
        images: Samples,
        transform: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Any:
        """Run the network.

        Args:
            weights: The layers' weights.
            images: (n, ...), or other samples.
            transform: Applied to all other parameters, if given.
            dtype: Floating type of the run; `weights` must have it already.

        Returns:
            What the network gives.

        Raises:
            NetworkError: The network fails.
        """
        given: dict[str, Tensor] = {}
        if transform is not None:
            for name, value in self.network.parameters.items():
                given[name] = transform(value).to(dtype) if value.is_floating_point() else value
        for layer, weight in zip(self.weight_layers, weights, strict=True):
            # The last name given for a parameter counts, so the weights come after all others.
            given.pop(f"{layer.name}.weight", None)
            given[f"{layer.name}.weight"] = weight
        keep = torch.is_grad_enabled()
        return self.network.run(images, given, dtype, keep=keep)

    def logits(
        self,
        weights: Sequence[Tensor],
        images: Samples,
        transform: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Run the network, see `outputs`, and return one row per sample, (n, values).

        Raises:
            StatisticsError: There are no such rows, or no logits where the loss needs them.
        """
        found = self.outputs(weights, images, transform, dtype)
        return self.workload.matrix(found, count(images))

    def summed_loss(self, weights: Sequence[Tensor], images: Samples, labels: Samples) -> Tensor:
        """Return the workload's loss summed over samples.

        Args:
            weights: The layers' weights.
            images: (n, ...), or other samples.
            labels: Their targets, int64 (n,) for the cross-entropy.

        Returns:
            Scalar.

        Raises:
            StatisticsError: As `Workload.summed_loss`.
        """
        labels = _pytree.tree_map_only(Tensor, lambda values: values.to(self.device), labels)
        return self.workload.summed_loss(self.outputs(weights, images), labels)

    def predictions(self, images: Samples, chunk: int) -> Tensor:
        """The network's own answers.

        Args:
            images: (n, ...).
            chunk: Images at once.

        Returns:
            int64 (n,), on the CPU.
        """
        weights = self.weights()
        with torch.no_grad():
            return torch.cat(
                [
                    check_classes(self.logits(weights, part)).argmax(dim=1).cpu()
                    for part in split(images, chunk)
                ]
            )
