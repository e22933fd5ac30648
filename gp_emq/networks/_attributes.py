"""What a forward pass sets on modules, put back after it."""

import contextlib
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import nn

from gp_emq.errors import NetworkError

_CONTAINERS = (list, deque, dict, set)
_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_REGISTERED = "_modules", "_parameters"


@contextlib.contextmanager
def same_attributes(model: nn.Module, *, only: nn.Module | None = None) -> Iterator[None]:
    """Put the attributes of all modules back that a pass sets on them, or adds to.

    Args:
        model: a private copy.
        only: the only module whose code runs; None where that of any may.

    Raises:
        NetworkError: if the pass makes modules or parameters, which were never trained.
    """
    modules = list(model.named_modules() if only is None else [("", only)])
    before = [dict(module.__dict__) for _, module in modules]
    registered = [[dict(attributes[kind]) for kind in _REGISTERED] for attributes in before]
    kept = [
        (value, value.copy())
        for attributes in before
        for value in map(attributes.__getitem__, attributes.keys() - _OF_EVERY_MODULE)
        if isinstance(value, _CONTAINERS)
    ]
    changed: list[tuple[str, object, object]] = []
    try:
        yield
    finally:
        for (name, module), attributes, contents in zip(modules, before, registered, strict=True):
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for kind, content in zip(_REGISTERED, contents, strict=True):
                changed += _put_back(name, module.__dict__[kind], content)
        for held, had in kept:
            held.clear()
            add = held.update if isinstance(held, (dict, set)) else held.extend
            add(had)
    known = {id(one) for _, own in registered for one in own.values()} if changed else set()
    made = [name for name, now, then in changed if _is_new(now, then, known)]
    if made:
        raise NetworkError(
            f"the forward of the network makes {made[0]!r}, with weights that no training can have "
            "reached: run the network on some samples once, then give it"
        )


def _put_back(
    prefix: str, now: dict[str, Any], before: Mapping[str, Any]
) -> list[tuple[str, object, object]]:
    """Put back what a module has registered; say what a pass put there, and in place of what."""
    changed = [name for name, value in now.items() if value is not before.get(name)]
    if not changed and len(now) == len(before):
        return []
    found = [(name, now[name], before.get(name)) for name in changed]
    now.clear()
    now.update(before)
    return [(f"{prefix}.{name}" if prefix else name, *values) for name, *values in found]


def _is_new(value: object, before: object, known: Collection[int]) -> bool:
    """Tell whether a pass made parameters; those that it sets in place of others are its own."""
    if isinstance(value, nn.Module):
        return any(id(parameter) not in known for parameter in value.parameters())
    return isinstance(value, nn.Parameter) and before is None
