"""Functions of a user that hold on to modules of a network, in a copy of it.

A deep copy keeps functions as they are: a forward that was put on a module, or a hook, would go on
with the modules that were copied, and change what was to be left alone.
"""

from collections.abc import Mapping
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
)  # fmt: skip


def rebind(copied: nn.Module, twins: Mapping[int, Any]) -> None:
    """Let functions in a copy hold the copy's modules and tensors.

    Args:
        copied: a deep copy of a network, changed here.
        twins: what was copied, by the identity of the original: the memo of the deep copy.
    """
    for module in copied.modules():
        held = [vars(module), *(getattr(module, name) for name in _HOOKS)]
        for values in held:
            for name, value in list(values.items()):
                if isinstance(value, FunctionType):
                    values[name] = _rebound(value, twins, {})


def _rebound(value: Any, twins: Mapping[int, Any], made: dict[int, Any]) -> Any:
    """Return what stands for a value in the copy: itself, where it has no part in the network."""
    if isinstance(value, (nn.Module, Tensor)):
        return twins.get(id(value), value)
    if isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
        return MethodType(value.__func__, twins.get(id(value.__self__), value.__self__))
    if not isinstance(value, FunctionType) or value.__closure__ is None:
        return value
    if id(value) not in made:
        made[id(value)] = value  # a function that holds itself
        contents = [_content(cell) for cell in value.__closure__]
        found = [_rebound(content, twins, made) for content in contents]
        if any(one is not other for one, other in zip(contents, found, strict=True)):
            cells = [
                cell if new is old else CellType(new)
                for cell, old, new in zip(value.__closure__, contents, found, strict=True)
            ]
            function = FunctionType(
                value.__code__, value.__globals__, value.__name__, value.__defaults__, tuple(cells)
            )
            function.__kwdefaults__ = value.__kwdefaults__
            made[id(value)] = function
    return made[id(value)]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is in it yet
        return None
