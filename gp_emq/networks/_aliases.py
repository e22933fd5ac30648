"""Tensors of a network that are one in memory: copied as one, or refused."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError
from gp_emq.networks._held import Place, held_tensors


def places(model: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Give every place that holds a parameter or a buffer once, a module at two names too."""
    for module in model.modules():
        for holder in (module._parameters, module._buffers):
            for name, value in holder.items():
                if value is not None:
                    yield holder, name, value


def held_places(model: nn.Module, held: Iterable[Place] | None = None) -> list[Place]:
    """Give the places, beside those of parameters and buffers, that hold the very same tensors.

    Args:
        model: a private copy.
        held: what `held_tensors` gives of it, where that is known.
    """
    own = {id(value) for _, _, value in places(model)}
    held = held_tensors(model) if held is None else held
    return [place for place in held if id(place.tensor) in own]


def places_beside(model: nn.Module, layers: Sequence[nn.Module]) -> dict[int, list[str]]:
    """Name the places, beside layers, that hold weights of them, by the weights' identity.

    Args:
        model: a private copy.
        layers: some of its modules, each with a `weight`.
    """
    expected = {id(layer._parameters) for layer in layers}
    found: dict[int, list[str]] = {id(layer.weight): [] for layer in layers}
    for prefix, module in model.named_modules():
        for holder in (module._parameters, module._buffers):
            for name, value in holder.items():
                if id(value) in found and not (id(holder) in expected and name == "weight"):
                    found[id(value)].append(f"{prefix}.{name}" if prefix else name)
    for place in held_places(model):
        if id(place.tensor) in found:
            found[id(place.tensor)].append(place.name)
    return found


def copy_held(original: nn.Module, memo: dict[int, Any]) -> list[str]:
    """Prepare a deep copy that holds its own parameters wherever the original holds its own.

    A tensor that a module keeps beside a parameter or a buffer, on the same memory, is that
    parameter or buffer in the copy.

    Args:
        original: the network.
        memo: of the deep copy that follows; extended here.

    Returns:
        The names of the places of such tensors.

    Raises:
        NetworkError: if one shares memory with a parameter or a buffer without being the same, or
            is where nothing can be put in its place.
    """
    owners: dict[tuple[Any, ...], tuple[str, Tensor]] = {}
    on_storage: dict[tuple[Any, int], list[tuple[str, Tensor]]] = {}
    for name, value in (*original.named_parameters(), *original.named_buffers()):
        key = _memory(value)
        if key is not None:
            owners.setdefault(key, (name, value))
            on_storage.setdefault(key[:2], []).append((name, value))
    found = []
    for place in held_tensors(original):
        key = _memory(place.tensor)
        if key is None or key[:2] not in on_storage:
            continue
        if key in owners:
            name, owner = owners[key]
            if place.put is None:
                raise NetworkError(
                    f"{name!r} is kept in {place.name!r} as well, where nothing else can be put: "
                    "keep it as an attribute, a parameter or a buffer"
                )
            twin = memo[id(owner)] if id(owner) in memo else copy.deepcopy(owner, memo)
            memo[id(place.tensor)] = twin
            found.append(place.name)
            continue
        for name, owner in on_storage[key[:2]]:
            if _overlap(place.tensor, owner):
                raise NetworkError(_apart(place.name, name))
    return found


def check_held(model: nn.Module, copied: nn.Module, names: Sequence[str]) -> None:
    """Refuse a network whose copy holds other than its own parameters where the original does.

    Args:
        model: the original.
        copied: its copy.
        names: the places, as `copy_held` gives them.

    Raises:
        NetworkError: if a place of the copy does not hold the copy's own.
    """
    reached = {place.name for place in held_places(copied)} if names else set()
    for name in names:
        if name not in reached:
            raise NetworkError(
                f"{type(model).__name__} keeps a parameter or a buffer in {name!r} as well, where "
                "a copy of it cannot follow: keep it as an attribute, a parameter or a buffer"
            )


def share_as(original: nn.Module, copied: nn.Module) -> None:
    """Let a copy have one tensor wherever the original has the same memory under several names.

    A change of one of them is a change of all, as for a parameter that modules share; a copy of
    each alone would part them.

    Args:
        original: the network that was copied.
        copied: its deep copy.

    Raises:
        NetworkError: if tensors of the original overlap without being the same.
    """
    pairs = [
        (_memory(value), place)
        for (_, _, value), place in zip(places(original), places(copied), strict=True)
    ]
    # Where a buffer lies on a parameter, the parameter stands for both.
    pairs.sort(key=lambda pair: not isinstance(pair[1][2], nn.Parameter))
    first: dict[tuple[Any, ...], Tensor] = {}
    for key, (holder, name, value) in pairs:
        if key is not None:
            holder[name] = first.setdefault(key, value)
    _refuse_overlaps(original)


def _memory(value: Tensor) -> tuple[Any, ...] | None:
    """What of the memory a tensor stands for; None where that is not to be known."""
    if value.layout != torch.strided or value.device.type == "meta" or value.numel() == 0:
        return None
    storage = value.untyped_storage().data_ptr()
    places = value.storage_offset(), tuple(value.shape), value.stride()
    return (value.device, storage, value.dtype, *places)


def _refuse_overlaps(model: nn.Module) -> None:
    named = dict([*model.named_buffers(), *model.named_parameters()])
    spans: dict[tuple[Any, ...], tuple[int, int, str]] = {}
    for name, value in named.items():
        key = _memory(value)
        if key is not None:
            strides = zip(value.shape, value.stride(), strict=True)
            reach = 1 + sum((size - 1) * stride for size, stride in strides)
            start = value.data_ptr()
            spans[key] = start, start + reach * value.element_size(), name
    ordered = sorted(spans.values())
    reached: list[tuple[int, int, str]] = []
    for one, other in pairwise(ordered):
        reached = [span for span in (*reached, one) if span[1] > other[0]]
        for _, _, name in reached:
            if _overlap(named[name], named[other[2]]):
                raise NetworkError(_apart(name, other[2]))


def _apart(one: str, other: str) -> str:
    return (
        f"{one!r} and {other!r} share a part of their memory, or have the same in two shapes, so "
        "that one cannot be quantized without the other: compute one from the other in forward, or "
        "give each a clone of its own"
    )


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Tell tensors with elements in common from those that only lie in each other's gaps."""
    if one.dtype != other.dtype or one.untyped_storage().data_ptr() != (
        other.untyped_storage().data_ptr()
    ):
        return True
    taken = torch.zeros(one.untyped_storage().nbytes() // one.element_size(), dtype=torch.bool)
    taken.as_strided(one.shape, one.stride(), one.storage_offset()).fill_(value=True)
    return bool(taken.as_strided(other.shape, other.stride(), other.storage_offset()).any())
