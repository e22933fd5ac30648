"""Tensors of a network that are one in memory: copied as one, or refused."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from gp_emq.errors import NetworkError


def places(model: nn.Module) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
    """Give every place that holds a parameter or a buffer once, a module at two names too."""
    for module in model.modules():
        for holder in (module._parameters, module._buffers):
            for name, value in holder.items():
                if value is not None:
                    yield holder, name, value


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
    for key, (holder, name, copy) in pairs:
        if key is not None:
            holder[name] = first.setdefault(key, copy)
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
                raise NetworkError(
                    f"{name!r} and {other[2]!r} share a part of their memory, or have the same in "
                    "two shapes, so that one cannot be quantized without the other: compute one "
                    "from the other in forward, or give each a clone of its own"
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
