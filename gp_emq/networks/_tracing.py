"""Which layers a network calls, in what order, and how much they compute."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from gp_emq.networks._attention import Projection
from gp_emq.networks._channels_first import TRANSPOSED, Conv1D, forward_alone_reads
from gp_emq.networks._embeddings import renormed_weights
from gp_emq.networks._running import PrivateNetwork, undisturbed
from gp_emq.networks._samples import Samples, split
from gp_emq.networks._watching import input_of

QUANTIZABLE = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED, Conv1D, Projection, nn.Embedding, nn.Linear,
)  # fmt: skip
"""Modules of private copies whose weight has the output channels, or indices, as its first axis."""
KINDS = tuple(kind.__name__ for kind in QUANTIZABLE)


class Trace:
    """What single images made a network do, taken together.

    Args:
        network: The network.

    Attributes:
        modules: The network's modules by name.
        order: Names of the layers that any image called, in forward order.
        norm_channels: Channels of the batch norms that take the output of each layer.
        images: How many images were run.
    """

    def __init__(self, network: PrivateNetwork) -> None:
        self.modules: Mapping[str, nn.Module] = dict(network.model.named_modules())
        self.order: list[str] = []
        self.norm_channels: dict[str, int] = {}
        self.images = 0
        self._network = network
        self._products: dict[str, int] = {}
        self._norms: set[_BatchNorm] = set()
        self._outputs: list[tuple[Tensor, str]] = []
        self._called: list[str] = []
        self._renormed = renormed_weights(network.model)

    def run(self, images: Samples) -> None:
        """Run images (n, ...) one by one."""
        with contextlib.ExitStack() as stack:
            for name, module in self.modules.items():
                for handle in self._hooks(name, module):
                    stack.callback(handle.remove)
            with undisturbed(), torch.no_grad(), forward_alone_reads():
                for image in split(images, 1):
                    self._network.run(image)
                    self._take_order()
                    self.images += 1

    def macs(self, name: str) -> int:
        """Multiply-accumulate operations of a layer for one image, the mean over images."""
        return round(self._products[name] / self.images)

    def _hooks(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Hook into a module, if it is one to record."""
        if isinstance(module, QUANTIZABLE) and not self._is_left(module):

            def on_layer(
                module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: object
            ) -> None:
                self._layer(name, module, input_of(arguments, named), output)

            yield module.register_forward_hook(on_layer, with_kwargs=True)
        elif isinstance(module, _BatchNorm):

            def on_norm(
                module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
            ) -> None:
                assert isinstance(module, _BatchNorm)  # noqa: S101 - narrows the hook's type
                self._norm(module, input_of(arguments, named))

            yield module.register_forward_pre_hook(on_norm, with_kwargs=True)

    def _is_left(self, module: nn.Module) -> bool:
        """Tell whether a weight changes as it is used, or is none of real numbers."""
        weight = module._parameters.get("weight")
        return id(weight) in self._renormed or (weight is not None and weight.is_complex())

    def _layer(self, name: str, module: nn.Module, taken: Tensor, output: object) -> None:
        """Record a call of a layer.

        Each number it gives took a product with a row of weights; in a transposed convolution each
        number it takes is multiplied with all weights of its own, and an embedding multiplies
        nothing.
        """
        weight = module._parameters["weight"]
        if not isinstance(output, Tensor) or not isinstance(weight, Tensor) or not weight.numel():
            return
        self._called.append(name)
        if isinstance(module, nn.Embedding):
            products = 0
        elif isinstance(module, TRANSPOSED):
            products = taken.numel() * (weight.numel() // module.in_channels)
        else:
            products = output.numel() * (weight.numel() // len(weight))
        self._products[name] = self._products.get(name, 0) + products
        # The tensors are kept alive so that no two of them can share an identity.
        self._outputs.append((output, name))

    def _norm(self, module: _BatchNorm, taken: Tensor) -> None:
        """Record that a batch norm took the tensor `taken`."""
        if module in self._norms:
            return
        for output, name in reversed(self._outputs):
            if output is taken:
                self._norms.add(module)
                self.norm_channels[name] = self.norm_channels.get(name, 0) + module.num_features
                return

    def _take_order(self) -> None:
        """Merge the layers that one image called into the order: new ones after those before."""
        self.order = merged(self.order, self._called)
        self._called, self._outputs = [], []


def merged(order: Sequence[str], called: Sequence[str]) -> list[str]:
    """Insert names that are new where they were called: after the one called before them.

    Args:
        order: The names so far, each once.
        called: Names in the order of their calls, some more than once.
    """
    result, place = list(order), 0
    for name in called:
        if name not in result:
            result.insert(place, name)
        place = max(place, result.index(name) + 1)
    return result
