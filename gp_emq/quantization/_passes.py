"""Running calibration images through a network, in parts where images are independent."""

import math
import weakref
from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from gp_emq.errors import NetworkError
from gp_emq.networks import PrivateNetwork, Samples, count, split, take, values_per_sample

CHUNK = 64
"""Images of one pass, unless they have to go through the network together."""
_MOST = 256
_ROOM = CHUNK * 3 * 224 * 224
"""Images, and numbers in them, that go through a network at once to see whether they see each
other."""
_RELATIVE = 1e-4
"""How far apart two results may be that differ by rounding alone, relative to the largest."""


_Answers = MutableMapping[PrivateNetwork, tuple[Samples, bool]]
_ANSWERS: _Answers = weakref.WeakKeyDictionary()
"""What was found last for each network, and of which images."""


class NotStackedError(Exception):
    """A result for a batch is not the results for its images, one after the other."""


def private(model: nn.Module | PrivateNetwork) -> PrivateNetwork:
    """Return a private copy of a network, or the network itself where it is one."""
    return model if isinstance(model, PrivateNetwork) else PrivateNetwork(model)


def passes(network: PrivateNetwork, images: Samples, size: int = CHUNK) -> tuple[Samples, ...]:
    """Split images into what goes through a network at once.

    Run it inside `undisturbed()`.

    Args:
        network: the network.
        images: (n, ...), or other samples.
        size: most images of a part.

    Returns:
        The parts: one, of all images, where what the network gives for an image depends on those
        that are with it.
    """
    if count(images) <= size or not independent(network, images):
        return (images,)
    return split(images, size)


def independent(network: PrivateNetwork, images: Samples) -> bool:
    """Say whether images give in any company what they give in a batch.

    As many of them as memory allows go through the network together, then in two ways in groups,
    so that no two images are together in both, and two of them alone. The answer is kept for the
    next call with the same images.
    """
    asked, answer = _ANSWERS.get(network, (None, False))
    if asked is not images:
        room = _ROOM // max(1, values_per_sample(images))
        answer = _independent(network, take(images, slice(0, max(CHUNK, min(room, _MOST)))))
        _ANSWERS[network] = images, answer
    return answer


def _independent(network: PrivateNetwork, images: Samples) -> bool:
    total = count(images)
    size = math.isqrt(total - 1) + 1
    alone = [torch.tensor([index]) for index in sorted({0, total - 1})]
    neighbours = torch.split(torch.arange(total), size)
    others = [torch.arange(first, total, size) for first in range(min(size, total))]
    try:
        with torch.no_grad():
            together = _tensors(network.run(images))
            for groups in (alone, neighbours, others):
                for members in groups:
                    for number, found in enumerate(_tensors(network.run(take(images, members)))):
                        _check_rows(found, together[number], members, total)
    except (NotStackedError, IndexError, NetworkError, RuntimeError, ValueError):
        # What fails for one image alone needs the others.
        return False
    return True


def _check_rows(found: Tensor, together: Tensor, members: Tensor, count: int) -> None:
    """Refuse a result for some images that is not their part of the one for all.

    Raises:
        NotStackedError: if it is not.
    """
    if found.dim() != together.dim() or found.dtype != together.dtype:
        raise NotStackedError
    axes = [axis for axis in range(found.dim()) if found.shape[axis] != together.shape[axis]]
    expected = together
    if axes:
        if len(axes) > 1 or together.shape[axes[0]] % count:
            raise NotStackedError
        size = together.shape[axes[0]] // count
        places = (members[:, None] * size + torch.arange(size)).flatten()
        expected = together.index_select(axes[0], places.to(together.device))
    if found.shape != expected.shape or not _alike(found, expected, together):
        raise NotStackedError


def stack_axis(alone: Sequence[Tensor], together: Tensor, count: int) -> int | None:
    """Return the axis along which the results for single images make up the one for all.

    Args:
        alone: the results for the first images, each alone.
        together: the result for the whole batch.
        count: images of the batch.

    Returns:
        The axis, along which each image may have several places; `None` where the result is the
        same for all images.

    Raises:
        NotStackedError: if there is no such axis, or the values are others.
    """
    first = alone[0]
    if any(one.shape != first.shape or one.dtype != together.dtype for one in alone):
        raise NotStackedError
    if first.dim() != together.dim():
        raise NotStackedError
    axes = [axis for axis in range(first.dim()) if first.shape[axis] != together.shape[axis]]
    if not axes:
        parts = [together] * len(alone)
    elif len(axes) > 1 or together.shape[axes[0]] != count * first.shape[axes[0]]:
        raise NotStackedError
    else:
        size = first.shape[axes[0]]
        parts = [together.narrow(axes[0], place * size, size) for place in range(len(alone))]
    if not all(_alike(one, part, together) for one, part in zip(alone, parts, strict=True)):
        raise NotStackedError
    return axes[0] if axes else None


def _alike(one: Tensor, other: Tensor, whole: Tensor) -> bool:
    if not one.is_floating_point():
        return torch.equal(one, other)
    if one.numel() == 0:
        return True
    relative = max(_RELATIVE, 8 * torch.finfo(one.dtype).eps)
    difference = (one.float() - other.float()).abs().nan_to_num(0.0).max()
    most = whole.float().abs().nan_to_num(0.0).max()
    return bool(difference <= relative * most)


def first_not_finite(result: object, images: int) -> int | None:
    """Return the index of the first of some images whose result has a NaN or an infinity.

    Args:
        result: (n, ...); anything else has no images.
        images: n.
    """
    if not isinstance(result, Tensor) or result.shape[:1] != (images,):
        return None
    if bool(result.isfinite().all()):
        return None
    rows = result.isfinite().reshape(len(result), -1)
    return int(rows.all(dim=1).to(torch.int8).argmin())


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]
