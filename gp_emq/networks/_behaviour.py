"""What a network computes beside its parameters: the code of its modules, and what they keep."""

import functools
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gp_emq.networks._sparse import numbers_of

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_OF_TORCH = ("torch", "torchvision", "builtins")
_INSTALLED = {
    Path(sysconfig.get_paths()[name]).resolve() for name in ("stdlib", "purelib", "platlib")
}
_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, range)
_DEPTH = 6
"""Containers and objects within each other that are looked into."""


def sha256_of_behaviour(model: nn.Module) -> str:
    """Hash what decides a network's outputs and is no parameter or buffer of it.

    That is the code of the classes of its modules but those of torch, what this code uses of
    functions and constants of one's own, and all attributes and hooks of its modules. Weights alone
    do not say what a network computes: its forward may be another one since.

    Args:
        model: The network.

    Returns:
        64 hexadecimal digits, the same in every process of an installation.
    """
    digest, reader = hashlib.sha256(), _Reader()
    for name, module in model.named_modules():
        lines = [name, *reader.kind(type(module))]
        for attribute, value in sorted(vars(module).items()):
            if attribute not in _OF_EVERY_MODULE:
                lines += [attribute, *reader.value(value)]
        for hooks in _HOOKS:
            for hook in getattr(module, hooks).values():
                lines += [hooks, *reader.value(hook)]
        digest.update("\n".join(lines).encode(errors="backslashreplace"))
    return digest.hexdigest()


class _Reader:
    """Describes values by what they hold, never by their addresses; code once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def value(self, value: Any, depth: int = _DEPTH) -> Iterator[str]:
        """Describe any value."""
        if isinstance(value, _PLAIN):
            yield repr(value)
        elif isinstance(value, Tensor):
            yield from _tensor(value)
        elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
            yield f"{value.dtype} {value.shape} {_sha256(np.ascontiguousarray(value))}"
        elif isinstance(value, FunctionType):
            yield from self._function(value)
        elif isinstance(value, MethodType):
            yield from self.value(value.__func__)
        elif isinstance(value, type):
            yield from self.kind(value)
        elif depth == 0 or isinstance(value, nn.Module | ModuleType):
            yield type(value).__qualname__
        else:
            yield from self._contents(value, depth - 1)

    def kind(self, kind: type) -> Iterator[str]:
        """Describe a class by the code of its methods, and of those that it inherits."""
        yield kind.__qualname__
        for base in kind.__mro__:
            if base.__module__.partition(".")[0] in _OF_TORCH or id(base) in self._seen:
                continue
            self._seen.add(id(base))
            for name, held in sorted(vars(base).items()):
                method = getattr(held, "__func__", getattr(held, "fget", held))
                plain = isinstance(held, _PLAIN) and not name.startswith("__")
                if isinstance(method, FunctionType) or plain:
                    yield name
                    yield from self.value(method)

    def _contents(self, value: Any, depth: int) -> Iterator[str]:
        """Describe a container, or any object by its attributes."""
        yield type(value).__qualname__
        if isinstance(value, functools.partial):
            yield from self.value((value.func, value.args, value.keywords), depth)
        elif isinstance(value, set | frozenset):
            yield from sorted(" ".join(self.value(one, depth)) for one in value)
        elif isinstance(value, Mapping):
            for item in value.items():
                yield from (line for one in item for line in self.value(one, depth))
        elif isinstance(value, list | tuple):
            yield from (line for one in value for line in self.value(one, depth))
        elif isinstance(getattr(value, "__dict__", None), dict):
            yield from self.value(dict(sorted(vars(value).items())), depth)
        elif type(value).__module__ == "builtins":
            yield re.sub(r" at 0x[0-9a-f]+", "", repr(value))

    def _function(self, function: FunctionType) -> Iterator[str]:
        """Describe code, what it holds on to, and what of one's own it uses."""
        yield function.__qualname__
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        yield from _code(function.__code__)
        yield from self.value((function.__defaults__, function.__kwdefaults__))
        for cell in function.__closure__ or ():
            yield from self.value(cell.cell_contents if _is_filled(cell) else None)
        if _is_own(function.__module__):
            yield from self._globals(function)

    def _globals(self, function: FunctionType) -> Iterator[str]:
        """Describe what a function takes from its module, and from other modules of one's own."""
        names = sorted(set(_names(function.__code__)))
        for name in names:
            held = function.__globals__.get(name)
            modules = [held] if isinstance(held, ModuleType) and _is_own(held.__name__) else []
            taken = [vars(module).get(other) for module in modules for other in names]
            for value in [held, *taken]:
                known = (FunctionType, type, Tensor, np.ndarray, list, tuple, dict, *_PLAIN)
                if value is not None and isinstance(value, known) and _may_differ(value):
                    yield name
                    yield from self.value(value)


def _may_differ(value: Any) -> bool:
    """Tell whether a value is no function or class of an installed package."""
    return not isinstance(value, FunctionType | type) or _is_own(value.__module__)


@cache
def _is_own(name: str) -> bool:
    """Tell whether a module is neither installed nor a part of Python."""
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None:
        return name == "__main__"
    return not any(path in Path(file).resolve().parents for path in _INSTALLED)


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _code(code: CodeType) -> Iterator[str]:
    yield f"{code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            plain = not isinstance(constant, frozenset)
            yield repr(constant if plain else sorted(map(repr, constant)))


def _tensor(values: Tensor) -> Iterator[str]:
    yield f"{values.dtype} {tuple(values.shape)}"
    if values.device.type != "meta" and not values.is_quantized:
        for numbers in numbers_of(values.detach().cpu()):
            yield _sha256(numbers.contiguous().reshape(-1).view(torch.uint8).numpy())


def _sha256(values: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()
