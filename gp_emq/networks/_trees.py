"""What networks give: tensors, nested in tuples, lists, mappings and data classes as one likes."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor
from torch.utils import _pytree

_Rebuild = Callable[[Sequence[Any]], Any]


def leaves_of(value: Any) -> list[Any]:
    """Return what is nested in a value and is no such structure itself, in its order."""
    parts = _parts(value)
    return [value] if parts is None else [leaf for part in parts[0] for leaf in leaves_of(part)]


def with_leaves(value: Any, leaves: Sequence[Any]) -> Any:
    """Return a value of the same structure with other leaves.

    Args:
        value: it stays as it is.
        leaves: as many as `leaves_of` gives of it.
    """
    return _rebuilt(value, iter(leaves))


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """Return a value of the same structure with what a function makes of its tensors."""
    leaves = leaves_of(value)
    return with_leaves(
        value, [function(leaf) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    )


def names_in(value: Any) -> list[Any] | None:
    """Return the names in a mapping or a data class; None of anything else."""
    if isinstance(value, Mapping):
        return list(value)
    if is_dataclass(value) and not isinstance(value, type):
        return [field.name for field in fields(value)]
    return None


def _rebuilt(value: Any, leaves: Iterator[Any]) -> Any:
    parts = _parts(value)
    if parts is None:
        return next(leaves)
    return parts[1]([_rebuilt(part, leaves) for part in parts[0]])


def _parts(value: Any) -> tuple[Sequence[Any], _Rebuild] | None:
    """Return what a value is made of, and how to make one like it of others."""
    if isinstance(value, Tensor):
        return None
    parts, form = _pytree.tree_flatten(value, is_leaf=lambda part: part is not value)
    if not form.is_leaf():
        return parts, lambda others: _pytree.tree_unflatten(others, form)
    if isinstance(value, Mapping):
        return list(value.values()), lambda others: _mapping(value, others)
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)], lambda others: _data(
            value, others
        )
    return None


def _mapping(value: Any, parts: Sequence[Any]) -> Any:
    """Return a mapping of a class of its own, such as the outputs of transformers, with others."""
    made = copy.copy(value)
    for name, part in zip(value, parts, strict=True):
        made[name] = part
    return made


def _data(value: Any, parts: Sequence[Any]) -> Any:
    made = copy.copy(value)
    for field, part in zip(fields(value), parts, strict=True):
        object.__setattr__(made, field.name, part)  # frozen or not
    return made
