"""What a module of a network was fed and gave, image by image."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from gp_emq.errors import QuantizationError
from gp_emq.networks import Call, PrivateNetwork, Samples, count, split, take, undisturbed, watching
from gp_emq.quantization._passes import CHUNK, NotStackedError, independent, stack_axis


@dataclass(frozen=True)
class _Stack:
    """One tensor of a call, for all images.

    Attributes:
        values: (n, ...), the axis of the images moved to the front; the same for all images
            where there is none.
        axis: where the places of an image are in the rest; `None` for what all images share.
    """

    values: Tensor
    axis: int | None

    def take(self, images: Tensor) -> Tensor:
        """Put the values of some images together again, as a batch of them."""
        if self.axis is None:
            return self.values
        return self.values[images].movedim(0, self.axis).flatten(self.axis, self.axis + 1)


class Recording:
    """The calls of a module, from which those for any images can be made.

    Args:
        calls: of each call in a pass its arguments, its keyword arguments and its output, as
            leaves of a tree, tensors stacked; or, where images cannot be stacked, the calls of
            each pass.
        count: how many images, or passes, there are.
    """

    def __init__(
        self, calls: Sequence[tuple[list[Any], Any]] | Sequence[Sequence[Call]], count: int
    ) -> None:
        self._calls = calls
        self._count = count

    def __len__(self) -> int:
        return self._count

    def calls(self, images: Tensor) -> Iterator[Call]:
        """Give the calls for some images, by their indices (k,)."""
        for call in self._calls:
            if isinstance(call, tuple):
                leaves, specification = call
                taken = [x.take(images) if isinstance(x, _Stack) else x for x in leaves]
                yield Call(*_pytree.tree_unflatten(taken, specification))
        if self._calls and not isinstance(self._calls[0], tuple):
            for index in images.tolist():
                yield from self._calls[index]

    def __bool__(self) -> bool:
        """Whether the module was called at all."""
        return any(bool(call) for call in self._calls)


def record(
    fed_by: PrivateNetwork, kept_by: PrivateNetwork, name: str, images: Samples
) -> Recording:
    """Record what one network feeds a module, and what the module gives in another.

    Modules are called as their networks call them: any number of times in a pass, with any
    arguments, and with the images along any axis. Where images see each other, all go through
    the network together.

    Args:
        fed_by: the network whose arguments are recorded, before hooks of the user.
        kept_by: the network whose outputs are recorded, after hooks of the user; it may be the
            same one.
        name: of the module.
        images: (n, ...).

    Raises:
        QuantizationError: if the two networks call the module in different ways.
    """
    with undisturbed(), torch.no_grad():
        apart = count(images) > 1 and independent(kept_by, images) and independent(fed_by, images)
        if not apart:
            return _separate(fed_by, kept_by, name, [images])
        with contextlib.suppress(NotStackedError):
            return _stacked(fed_by, kept_by, name, images)
        return _separate(fed_by, kept_by, name, split(images, 1))


def _separate(
    fed_by: PrivateNetwork, kept_by: PrivateNetwork, name: str, parts: Sequence[Samples]
) -> Recording:
    return Recording([_paired(fed_by, kept_by, name, part) for part in parts], len(parts))


def _stacked(
    fed_by: PrivateNetwork, kept_by: PrivateNetwork, name: str, images: Samples
) -> Recording:
    alone = [_paired(fed_by, kept_by, name, image) for image in split(take(images, slice(0, 2)), 1)]
    parts = split(images, CHUNK)
    found = [_paired(fed_by, kept_by, name, part) for part in parts]
    if any(len(calls) != len(found[0]) for calls in (*alone, *found)):
        raise NotStackedError
    counts = [count(part) for part in parts]
    stacked = [
        _stack([a[place] for a in alone], [calls[place] for calls in found], counts)
        for place in range(len(found[0]))
    ]
    return Recording(stacked, count(images))


def _stack(
    alone: Sequence[Call], together: Sequence[Call], counts: Sequence[int]
) -> tuple[list[Any], Any]:
    """Stack the leaves of one call over all parts."""
    singles = [_leaves(call) for call in alone]
    batches = [_leaves(call) for call in together]
    if any(specification != singles[0][1] for _, specification in (*singles, *batches)):
        raise NotStackedError
    stacked = [
        _stack_leaf([leaves[n] for leaves, _ in singles], [leaves[n] for leaves, _ in batches],
                    counts)
        for n in range(len(singles[0][0]))
    ]  # fmt: skip
    return stacked, singles[0][1]


def _stack_leaf(alone: Sequence[Any], together: Sequence[Any], counts: Sequence[int]) -> Any:
    if not all(isinstance(leaf, Tensor) for leaf in (*alone, *together)):
        if any(leaf != alone[0] or isinstance(leaf, Tensor) for leaf in (*alone, *together)):
            raise NotStackedError
        return alone[0]
    axis = stack_axis(alone, together[0], counts[0])
    if axis is None:
        for part in together:
            stack_axis(alone[:1], part, 1)
        return _Stack(together[0], None)
    size = alone[0].shape[axis]
    shapes = {(*part.shape[:axis], *part.shape[axis + 1 :]) for part in together}
    sizes = [part.shape[axis] for part in together]
    if len(shapes) > 1 or sizes != [count * size for count in counts]:
        raise NotStackedError
    parts = [
        part.unflatten(axis, (count, size)).movedim(axis, 0)
        for part, count in zip(together, counts, strict=True)
    ]
    return _Stack(torch.cat(parts), axis)


def _leaves(call: Call) -> tuple[list[Any], Any]:
    return _pytree.tree_flatten((call.arguments, dict(call.named), call.output))


def _paired(
    fed_by: PrivateNetwork, kept_by: PrivateNetwork, name: str, images: Samples
) -> list[Call]:
    fed = watched(fed_by, name, images)
    if kept_by is fed_by:
        return fed
    kept = watched(kept_by, name, images)
    if [call.output.shape for call in kept] != [call.output.shape for call in fed]:
        raise QuantizationError(
            f"the quantized network calls {name!r} in another way than the float one: its "
            "rounding cannot be learned, round to nearest instead"
        )
    return [Call(a.arguments, a.named, b.output) for a, b in zip(fed, kept, strict=True)]


def watched(network: PrivateNetwork, name: str, images: Samples) -> list[Call]:
    """Return the calls of a module for some images, as its network makes them."""
    with watching([network.model.get_submodule(name)], around_hooks=True) as records:
        network.run(images)
    return [
        Call(*_pytree.tree_map(_kept, (call.arguments, dict(call.named), call.output)))
        for call in records[0]
    ]


def _kept(leaf: Any) -> Any:
    """Keep floating values in float32, whatever the network computes in here."""
    return leaf.detach().float() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf
