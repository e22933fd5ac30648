"""A network as a function of its layers' weights."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gp_emq.errors import StatisticsError
from gp_emq.networks import Layer, PrivateNetwork, weight_layers


class FunctionalNetwork:
    """Logits and loss of a network as functions of the weights of its layers.

    All of its methods belong inside `undisturbed()`.

    Args:
        network: The network's private copy.
        layers: Its layers, in the order in which weights are given and returned.
    """

    def __init__(self, network: PrivateNetwork, layers: Sequence[Layer]) -> None:
        self.network = network
        self.layers = tuple(layers)
        self.weight_layers = weight_layers(layers)
        for layer in self.layers:
            if f"{layer.name}.weight" not in network.parameters:
                raise StatisticsError(
                    f"the network has no layer {layer.name!r} with a weight of its own"
                )
        self.device = network.device

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
        for layer in self.weight_layers:
            value = self.network.parameters[f"{layer.name}.weight"].detach().clone()
            if transform is not None:
                value = transform(value).clone()
            leaves.append(value.requires_grad_())
        return leaves

    def logits(
        self,
        weights: Sequence[Tensor],
        images: Tensor,
        transform: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Run the network.

        Args:
            weights: The layers' weights.
            images: (n, ...).
            transform: Applied to all other parameters, if given.
            dtype: Floating type of the run; `weights` must have it already.

        Returns:
            (n, classes).

        Raises:
            StatisticsError: The output is no matrix of logits.
        """
        given: dict[str, Tensor] = {}
        if transform is not None:
            for name, value in self.network.parameters.items():
                given[name] = transform(value).to(dtype) if value.is_floating_point() else value
        for layer, weight in zip(self.weight_layers, weights, strict=True):
            # The last name given for a parameter counts, so the weights come after all others.
            given.pop(f"{layer.name}.weight", None)
            given[f"{layer.name}.weight"] = weight
        output = self.network.run(images, given, dtype)
        if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(images):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise StatisticsError(
                f"the network must map {len(images)} images to ({len(images)}, classes) logits, "
                f"it gives {shape}"
            )
        return output

    def summed_loss(self, weights: Sequence[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over images.

        Args:
            weights: The layers' weights.
            images: (n, ...).
            labels: int64 (n,).

        Returns:
            Scalar.
        """
        logits = self.logits(weights, images)
        return functional.cross_entropy(logits, labels.to(self.device), reduction="sum")

    def predictions(self, images: Tensor, chunk: int) -> Tensor:
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
                    self.logits(weights, part).argmax(dim=1).cpu()
                    for part in torch.split(images, chunk)
                ]
            )
