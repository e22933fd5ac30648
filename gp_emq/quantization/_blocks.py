"""The blocks of a network."""

from collections import Counter
from collections.abc import Sequence

from torch import nn

from gp_emq.networks import Layer

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
