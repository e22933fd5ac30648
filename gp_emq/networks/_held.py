"""Tensors that a network holds beside its parameters and buffers, in whatever its modules keep."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

_REGISTERED = frozenset({"_parameters", "_buffers", "_modules"})
_PLAIN = frozenset({type(None), bool, int, float, str})
_DEEPEST = 6
"""Things within things that are looked into."""


@dataclass(frozen=True)
class Place:
    """Where a tensor is held, alone or in tuples.

    Attributes:
        name: of the place, for people; equal in a network and its copy.
        held: what is there: a tensor, or a tuple with it somewhere in it.
        tensor: the tensor.
        put: puts something else there; None where nothing can be put.
    """

    name: str
    held: Any
    tensor: Tensor
    put: Callable[[Any], None] | None

    def replace(self, values: Mapping[int, Tensor]) -> None:
        """Put values in place of tensors, by their identity."""
        assert self.put is not None  # noqa: S101 - such places are refused
        self.put(_replaced(self.held, values))

    def restore(self) -> None:
        """Put back what was there."""
        assert self.put is not None  # noqa: S101
        self.put(self.held)


def held_tensors(model: nn.Module) -> Iterator[Place]:
    """Give every tensor in attributes of modules, and in what these hold.

    That is lists, dicts, tuples, objects, modules that are not registered, closures of functions
    and of hooks, and arguments of partial functions.

    Args:
        model: the network.
    """
    named = list(model.named_modules())
    seen = {id(module) for _, module in named}
    for prefix, module in named:
        for attribute, value in list(vars(module).items()):
            if attribute in _REGISTERED or _is_plain(value):
                continue
            name = f"{prefix}.{attribute}" if prefix else attribute
            yield from _item(vars(module), attribute, name, _DEEPEST, seen)


def _is_plain(value: Any) -> bool:
    """Say of most that modules keep, at once, that no tensor can be in it."""
    kind = type(value)
    if kind is tuple:
        return all(type(inner) in _PLAIN for inner in value)
    return kind in _PLAIN or (isinstance(value, (dict, list, set)) and not value)


def _item(holder: Any, key: Any, name: str, depth: int, seen: set[int]) -> Iterator[Place]:
    """Look at what a dict or a list holds in one place."""

    def put(value: Any) -> None:
        holder[key] = value

    yield from _value(holder[key], name, put, depth, seen)


def _value(
    value: Any, name: str, put: Callable[[Any], None] | None, depth: int, seen: set[int]
) -> Iterator[Place]:
    if isinstance(value, Tensor):
        yield Place(name, value, value, put)
    elif isinstance(value, tuple):
        for number, (inner, tensor) in enumerate(_in_tuple(value)):
            where = f"{name}[{number}]"
            if tensor:
                yield Place(where, value, inner, put)
            elif depth and not isinstance(inner, tuple):
                yield from _inside(inner, where, depth - 1, seen)
    elif depth:
        yield from _inside(value, name, depth - 1, seen)


def _in_tuple(value: tuple[Any, ...]) -> Iterator[tuple[Any, bool]]:
    """Give the leaves of nested tuples, and whether each is a tensor."""
    for inner in value:
        if isinstance(inner, tuple):
            yield from _in_tuple(inner)
        else:
            yield inner, isinstance(inner, Tensor)


def _inside(value: Any, name: str, depth: int, seen: set[int]) -> Iterator[Place]:
    """Look into something that is neither a tensor nor a tuple."""
    if value is None or isinstance(value, (str, bytes, int, float, complex, type, ModuleType)):
        return
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, dict):
        for key in list(value):
            yield from _item(value, key, f"{name}[{key!r}]", depth, seen)
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from _item(value, index, f"{name}[{index}]", depth, seen)
    elif isinstance(value, FunctionType):
        yield from _function(value, name, depth, seen)
    elif isinstance(value, MethodType):
        yield from _inside(value.__self__, name, depth, seen)
    elif isinstance(value, functools.partial):
        yield from _inside(value.func, name, depth, seen)
        yield from _value(value.args, name, None, depth, seen)
        yield from _inside(value.keywords, name, depth, seen)
    elif isinstance(getattr(value, "__dict__", None), dict):
        for attribute in list(vars(value)):
            yield from _item(vars(value), attribute, f"{name}.{attribute}", depth, seen)


def _function(value: FunctionType, name: str, depth: int, seen: set[int]) -> Iterator[Place]:
    for variable, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            content = cell.cell_contents
        except ValueError:  # nothing is in it yet
            continue
        yield from _value(content, f"{name}: {variable}", _filling(cell), depth, seen)
    yield from _value(value.__defaults__ or (), name, None, depth, seen)
    yield from _inside(value.__kwdefaults__, name, depth, seen)


def _filling(cell: CellType) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        cell.cell_contents = value

    return put


def _replaced(value: Any, values: Mapping[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return values.get(id(value), value)
    if not isinstance(value, tuple):
        return value
    items = [_replaced(item, values) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
