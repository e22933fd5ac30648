"""What a layer is: one quantizable module of a network, in forward order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gp_emq.errors import NetworkError

QUANTIZABLE = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Layer:
    """One quantizable module of a network.

    Attributes:
        name: path of the module within the network.
        kind: `"Conv2d"` or `"Linear"`.
        weight_shape: shape of its weight.
        parameters: elements of its weight and, where it has one, its bias.
        batch_norm_channels: channels of the batch norms that take its output, else 0; a norm that
            takes the outputs of several layers belongs to the first.
        macs: multiply-accumulate operations for one image.
        depth: 0-based place in forward order.
        entry: index of the bit entry that decides its width.
    """

    name: str
    kind: str
    weight_shape: tuple[int, ...]
    parameters: int
    batch_norm_channels: int
    macs: int
    depth: int
    entry: int


class _Trace:
    """Which layers one forward pass called, in order, and which batch norm followed each."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.macs: dict[str, int] = {}
        self.norm_channels: dict[str, int] = {}
        self._norms: set[_BatchNorm] = set()
        self._outputs: list[tuple[Tensor, str]] = []

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
        model: the network; it is run in eval mode and left in the mode it was in.
        example: one input, (1, C, H, W).
        ties: groups of layer names that share one bit entry.

    Returns:
        The `Conv2d` and `Linear` modules that the pass called, in the order of their first
        calls. Entries are numbered by their first layer.

    Raises:
        NetworkError: if nothing quantizable is called, or a tie names no such layer, names
            fewer than two, or shares a layer with another.
    """
    trace = _Trace()
    handles = []
    for name, module in model.named_modules():
        if isinstance(module, QUANTIZABLE):

            def on_layer(
                module: nn.Module, _inputs: object, output: Tensor, name: str = name
            ) -> None:
                trace.layer(name, module, output)

            handles.append(module.register_forward_hook(on_layer))
        elif isinstance(module, _BatchNorm):

            def on_norm(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                assert isinstance(module, _BatchNorm)  # noqa: S101 - narrows the hook's type
                trace.batch_norm(module, inputs[0])

            handles.append(module.register_forward_pre_hook(on_norm))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            model(example)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
    if not trace.order:
        raise NetworkError(
            f"{type(model).__name__} called no Conv2d or Linear module: nothing to quantize"
        )
    entries = _number_entries(trace.order, ties)
    modules = dict(model.named_modules())
    return tuple(
        _layer(name, modules[name], trace, depth, entries[name])
        for depth, name in enumerate(trace.order)
    )


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


def _layer(name: str, module: nn.Module, trace: _Trace, depth: int, entry: int) -> Layer:
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)  # noqa: S101 - narrows nn.Module's attribute type
    return Layer(
        name=name,
        kind="Conv2d" if isinstance(module, nn.Conv2d) else "Linear",
        weight_shape=tuple(weight.shape),
        parameters=weight.numel() + (bias.numel() if isinstance(bias, Tensor) else 0),
        batch_norm_channels=trace.norm_channels.get(name, 0),
        macs=trace.macs[name],
        depth=depth,
        entry=entry,
    )


def _number_entries(order: Sequence[str], ties: Sequence[Sequence[str]]) -> dict[str, int]:
    group_of: dict[str, int] = {}
    for group, names in enumerate(ties):
        if len(names) < 2:
            raise NetworkError(f"a tie needs at least two layers, not {list(names)}")
        for name in names:
            if name not in order:
                raise NetworkError(f"tied layer {name!r} is none of {', '.join(order)}")
            if name in group_of:
                raise NetworkError(f"layer {name!r} is in more than one tie")
            group_of[name] = group
    entries: dict[str, int] = {}
    entry_of_group: dict[int, int] = {}
    following = 0
    for name in order:
        group = group_of.get(name, -1)
        if group in entry_of_group:
            entries[name] = entry_of_group[group]
            continue
        entries[name] = following
        if group >= 0:
            entry_of_group[group] = following
        following += 1
    return entries
