"""The blocks of a network, and what they are fed and give."""

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.networks import Layer

_CAPTURE_BATCH = 64
_CONTAINERS = (nn.Sequential, nn.ModuleList)


def find_blocks(model: nn.Module, layers: Sequence[Layer]) -> tuple[str, ...]:
    """Return the names of a network's blocks in forward order.

    A block is the outermost module within the containers of a network (its root, sequences
    and lists of modules) that holds layers: a residual block, or a single layer. A module that
    holds a whole stage, a sequence of two or more blocks of several layers each, is a container
    as well: the backbone that a network wraps, or the encoder of a transformer.
    """
    blocks: list[str] = []
    containers: dict[str, bool] = {}
    for layer in layers:
        parts = layer.name.split(".")
        name = layer.name
        for depth in range(1, len(parts)):
            outer = ".".join(parts[:depth])
            if outer not in containers:
                containers[outer] = _is_container(model.get_submodule(outer), outer, layers)
            if not containers[outer]:
                name = outer
                break
        if name not in blocks:
            blocks.append(name)
    return tuple(blocks)


def _is_container(module: nn.Module, name: str, layers: Sequence[Layer]) -> bool:
    if isinstance(module, _CONTAINERS):
        return True
    held = Counter(outer for layer in layers for outer in _outer_names(layer.name))
    for inner, candidate in module.named_modules(prefix=name):
        if isinstance(candidate, _CONTAINERS):
            blocks = [
                child
                for child_name, child in candidate.named_children()
                if held[f"{inner}.{child_name}"] > 1 and not isinstance(child, _CONTAINERS)
            ]
            if len(blocks) > 1:
                return True
    return False


def _outer_names(name: str) -> list[str]:
    """Names of the modules that a layer lies in."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


class NotOneTensorError(Exception):
    """A module is no function of one tensor, so that it cannot be reconstructed as a whole."""


def capture(model: nn.Module, module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a module of a network is fed and gives, (n, ...) each, for some images.

    Of a module that one pass calls several times all calls are returned, one after the other,
    but those whose shapes are others than the first call's.

    Args:
        model: the network.
        module: one of its modules.
        images: (n, C, H, W).

    Raises:
        NotOneTensorError: if the module takes or gives anything but one tensor.
    """
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    first = next(iter(inspect.signature(module.forward).parameters), "")

    def before(_module: nn.Module, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        given = [*arguments, *named.values()]
        if len(given) != 1 or not set(named) <= {first} or not isinstance(given[0], Tensor):
            raise NotOneTensorError
        inputs.append(given[0].clone())

    def after(_module: nn.Module, _arguments: object, output: object) -> None:
        if not isinstance(output, Tensor):
            raise NotOneTensorError
        outputs.append(output.clone())

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]
    try:
        with torch.no_grad():
            for batch in torch.split(images, _CAPTURE_BATCH):
                model(batch)
    finally:
        for handle in handles:
            handle.remove()
    kept = [
        (x, y)
        for x, y in zip(inputs, outputs, strict=True)
        if x.shape[1:] == inputs[0].shape[1:] and y.shape[1:] == outputs[0].shape[1:]
    ]
    return torch.cat([x for x, _ in kept]), torch.cat([y for _, y in kept])
