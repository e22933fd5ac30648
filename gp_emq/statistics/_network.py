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
            NetworkError: The network fails.
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
        keep = torch.is_grad_enabled()
        return logits_of(self.network.run(images, given, dtype, keep=keep), len(images))

    def summed_loss(self, weights: Sequence[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over images.

        Args:
            weights: The layers' weights.
            images: (n, ...).
            labels: int64 (n,).

        Returns:
            Scalar.

        Raises:
            StatisticsError: As `logits`, or there is one class.
        """
        logits = check_classes(self.logits(weights, images).float())
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
                    check_classes(self.logits(weights, part)).argmax(dim=1).cpu()
                    for part in torch.split(images, chunk)
                ]
            )


def logits_of(output: object, images: int) -> Tensor:
    """Return a network's output as logits (n, classes).

    Args:
        output: What the network gave.
        images: How many images it was fed.

    Raises:
        StatisticsError: The output is no matrix of logits.
    """
    if isinstance(output, Tensor) and output.dim() == 1 and images == 1:
        output = output[None]  # a forward that squeezes away the axis of a single image
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != images:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise StatisticsError(
            f"the network must map {images} images to ({images}, classes) logits, it gives {shape}"
        )
    return output


def check_classes(logits: Tensor) -> Tensor:
    """Return logits (n, classes) that a cross-entropy or a prediction can be taken of.

    Raises:
        StatisticsError: There are no two classes.
    """
    if logits.shape[1] < 2:
        raise StatisticsError(
            f"the network gives one number for each image, {tuple(logits.shape)}: losses and "
            "predictions need logits (n, classes) of two classes or more"
        )
    return logits
