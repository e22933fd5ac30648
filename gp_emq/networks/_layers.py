"""What a layer is: one quantizable module of a network, in forward order."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from gp_emq.errors import NetworkError
from gp_emq.networks._running import PrivateNetwork, undisturbed
from gp_emq.networks._watching import input_of

QUANTIZABLE = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Layer:
    """One quantizable module of a network.

    Attributes:
        name: path of the module within the network.
        kind: `"Conv2d"` or `"Linear"`.
        weight_shape: shape of its weight.
        parameters: elements of its weight and, where it has one, its bias; those that are an
            earlier layer's parameters too are counted there.
        batch_norm_channels: channels of the batch norms that take its output, else 0; a norm that
            takes the outputs of several layers belongs to the first.
        macs: multiply-accumulate operations for one image.
        depth: 0-based place in forward order.
        entry: index of the bit entry that decides its width.
        shares: name of the first layer whose weight is the very same parameter; empty where
            the weight is its own.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    parameters: int
    batch_norm_channels: int
    macs: int
    depth: int
    entry: int
    shares: str = ""

    @property
    def own_weights(self) -> int:
        """Elements of its weight, none where the weight is counted with another layer."""
        return 0 if self.shares else math.prod(self.weight_shape)


class _Trace:
    """Which layers one forward pass called, in order, and which batch norm followed each."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.macs: dict[str, int] = {}
        self.norm_channels: dict[str, int] = {}
        self._norms: set[_BatchNorm] = set()
        self._outputs: list[tuple[Tensor, str]] = []

    def hooks(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Hook into a module, if it is one to record."""
        if isinstance(module, QUANTIZABLE):

            def on_layer(module: nn.Module, _inputs: object, output: Tensor) -> None:
                self.layer(name, module, output)

            yield module.register_forward_hook(on_layer)
        elif isinstance(module, _BatchNorm):

            def on_norm(
                module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
            ) -> None:
                assert isinstance(module, _BatchNorm)  # noqa: S101 - narrows the hook's type
                self.batch_norm(module, input_of(arguments, named))

            yield module.register_forward_pre_hook(on_norm, with_kwargs=True)

    def layer(self, name: str, module: nn.Module, output: Tensor) -> None:
        """Record a call of the layer `name` that gave `output` (1, ...)."""
        if name not in self.macs:
            self.order.append(name)
            self.macs[name] = 0
        weight = module.weight
        assert isinstance(weight, Tensor)  # noqa: S101 - narrows nn.Module's attribute type
        self.macs[name] += output.numel() // output.shape[0] * math.prod(weight.shape[1:])
        # The tensors are kept alive so that no two of them can share an identity.
        self._outputs.append((output, name))

    def batch_norm(self, module: _BatchNorm, taken: Tensor) -> None:
        """Record that a batch norm took the tensor `taken`."""
        if module in self._norms:
            return
        for output, name in reversed(self._outputs):
            if output is taken:
                self._norms.add(module)
                self.norm_channels[name] = self.norm_channels.get(name, 0) + module.num_features
                return


def find_layers(
    model: nn.Module, example: Tensor, ties: Sequence[Sequence[str]] = ()
) -> tuple[Layer, ...]:
    """Find the quantizable modules of a network by one forward pass.

    Args:
        model: the network; a copy of it is run, in eval mode.
        example: one input, (1, C, H, W).
        ties: groups of layer names that share one bit entry.

    Returns:
        The `Conv2d` and `Linear` modules that the pass called, in the order of their first
        calls. Entries are numbered by their first layer.

    Raises:
        NetworkError: if nothing quantizable is called, or a tie names no such layer, names
            fewer than two, or shares a layer with another.
    """
    network = PrivateNetwork(model)
    modules = dict(network.model.named_modules())
    if isinstance(network.model, QUANTIZABLE):
        raise NetworkError(
            f"the network is itself a {_kind(network.model)} and has no name to go by: give it as "
            "torch.nn.Sequential(network)"
        )
    trace = _Trace()
    with contextlib.ExitStack() as stack:
        for name, module in modules.items():
            for handle in trace.hooks(name, module):
                stack.callback(handle.remove)
        with undisturbed(), torch.no_grad():
            network.run(example)
    if not trace.order:
        raise NetworkError(
            f"{type(network.model).__name__} called no Conv2d or Linear module: nothing to quantize"
        )
    owners = _first_owners({name: modules[name] for name in trace.order})
    shared = [(name, owners[id(modules[name].weight)]) for name in trace.order]
    entries = _number_entries(trace.order, ties, shared)
    return tuple(_layer(name, modules[name], trace, entries[name], owners) for name in trace.order)


def entry_layers(layers: Sequence[Layer]) -> tuple[tuple[int, ...], ...]:
    """Return the layer indices of each bit entry.

    Args:
        layers: the layers of a network in forward order.

    Returns:
        For each entry, the ascending indices into `layers` that it decides.
    """
    count = 1 + max(layer.entry for layer in layers)
    return tuple(
        tuple(index for index, layer in enumerate(layers) if layer.entry == entry)
        for entry in range(count)
    )


def weight_layers(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Return the layers whose weight is their own: one for each distinct weight, in order."""
    return tuple(layer for layer in layers if not layer.shares)


def _first_owners(modules: Mapping[str, nn.Module]) -> dict[int, str]:
    """Map the identity of every parameter of some layers to the first layer that has it."""
    owners: dict[int, str] = {}
    for name, module in modules.items():
        for parameter in (module.weight, module.bias):
            if parameter is not None:
                owners.setdefault(id(parameter), name)
    return owners


def _kind(module: nn.Module) -> str:
    return "Conv2d" if isinstance(module, nn.Conv2d) else "Linear"


def _layer(
    name: str, module: nn.Module, trace: _Trace, entry: int, owners: Mapping[int, str]
) -> Layer:
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)  # noqa: S101 - narrows nn.Module's attribute type
    own = [
        parameter.numel()
        for parameter in (weight, bias)
        if isinstance(parameter, Tensor) and owners[id(parameter)] == name
    ]
    owner = owners[id(weight)]
    return Layer(
        name=name,
        kind=_kind(module),
        weight_shape=tuple(weight.shape),
        parameters=sum(own),
        batch_norm_channels=trace.norm_channels.get(name, 0),
        macs=trace.macs[name],
        depth=trace.order.index(name),
        entry=entry,
        shares="" if owner == name else owner,
    )


def _number_entries(
    order: Sequence[str], ties: Sequence[Sequence[str]], groups: Sequence[Sequence[str]]
) -> dict[str, int]:
    """Number the entries by their first layer.

    Args:
        order: the layers in forward order.
        ties: the user's groups, checked here.
        groups: further ones, of layers that cannot differ.
    """
    _check_ties(order, ties)
    first = {name: name for name in order}
    for names in (*ties, *groups):
        # Whatever the group's members were tied to before joins as a whole.
        joined = {first[name] for name in names}
        least = min(joined, key=order.index)
        first.update({name: least for name, leader in first.items() if leader in joined})
    numbers: dict[str, int] = {}
    for name in order:
        numbers.setdefault(first[name], len(numbers))
    return {name: numbers[first[name]] for name in order}


def _check_ties(order: Sequence[str], ties: Sequence[Sequence[str]]) -> None:
    seen: set[str] = set()
    for names in ties:
        if len(names) < 2:
            raise NetworkError(f"a tie needs at least two layers, not {list(names)}")
        for name in names:
            if name not in order:
                raise NetworkError(f"tied layer {name!r} is none of {', '.join(order)}")
            if name in seen:
                raise NetworkError(f"layer {name!r} is in more than one tie")
            seen.add(name)
