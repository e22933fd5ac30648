"""What goes into a network, sample by sample: tensors, nested in tuples and mappings or not."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils import _pytree

from gp_emq.errors import DataError
from gp_emq.networks._finite import check_numbers, in_single_precision
from gp_emq.networks._trees import mapped

Samples = Any
"""A tensor (n, ...), or a tuple, list or dict of such tensors, nested as one likes."""

_EXPECTED = (
    "give tensors (n, ...), (inputs, targets), tuples or dicts of tensors, or an iterable of such "
    "batches"
)


def count(samples: Samples) -> int:
    """Return how many samples there are."""
    return len(samples) if isinstance(samples, Tensor) else len(_tensors(samples)[0])


def split(samples: Samples, size: int) -> tuple[Any, ...]:
    """Cut samples into parts of a size, the last of which may be smaller.

    Raises:
        DataError: if the size is less than 1.
    """
    if size < 1:
        raise DataError(f"samples are cut into parts of at least 1, not {size}")
    if isinstance(samples, Tensor):
        return torch.split(samples, size)
    return tuple(
        take(samples, slice(start, start + size)) for start in range(0, count(samples), size)
    )


def take(samples: Samples, indices: Tensor | slice | Sequence[int] | int) -> Any:
    """Return some of the samples."""
    return _pytree.tree_map_only(Tensor, lambda values: values[indices], samples)


def values_per_sample(samples: Samples, whole: int = 1) -> int:
    """Return how many numbers a sample has; whole numbers count so often."""
    return sum(
        values[0].numel() * (1 if values.is_floating_point() else whole)
        for values in _tensors(samples)
    )


def noised(samples: Samples, level: float, stream: torch.Generator) -> Any:
    """Return samples with noise on them; whole numbers, which may be indices, stay as they are.

    Args:
        samples: The samples.
        level: Standard deviation of the Gaussian noise, in those of each tensor's own values.
        stream: Where the noise comes from, on the CPU.
    """

    def disturbed(values: Tensor) -> Tensor:
        if not values.is_floating_point():
            return values
        noise = torch.randn(values.shape, generator=stream, dtype=values.dtype)
        return values + level * values.std(correction=0) * noise.to(values.device)

    return _pytree.tree_map_only(Tensor, disturbed, samples)


def ones_like_one(samples: Samples) -> Any:
    """Return one sample of ones; whole numbers, which may be indices, are those of the first."""

    def ones(values: Tensor) -> Tensor:
        return torch.ones_like(values) if values.is_floating_point() else values

    return _pytree.tree_map_only(Tensor, ones, take(samples, slice(0, 1)))


def tensors_of(samples: Samples, name: str) -> list[tuple[str, Tensor]]:
    """Return the tensors in samples, each under a name of its own."""
    if isinstance(samples, Tensor):
        return [(name, samples)]
    leaves, specification = _pytree.tree_flatten(samples)
    return [
        (f"{name} {place} of {specification}", values)
        for place, values in enumerate(leaves)
        if isinstance(values, Tensor)
    ]


def sha256_of_values(samples: Samples, targets: Samples | None = None) -> str:
    """Return the sha256 of samples and their targets, in hexadecimal."""
    digest = hashlib.sha256()
    for part in (samples, *(() if targets is None else (targets,))):
        if not isinstance(part, Tensor):
            digest.update(str(_pytree.tree_flatten(part)[1]).encode())
        for tensor in _tensors(part):
            digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).data)
    return digest.hexdigest()


def joined(batches: Any) -> tuple[Samples, Samples | None]:
    """Join batches, each inputs alone or a pair of inputs and targets.

    Args:
        batches: one batch, as a tensor, an array, a mapping or a pair `(inputs, targets)`; or an
            iterable of batches, such as a `DataLoader`.

    Returns:
        Inputs and targets; None for the targets of batches that are no pairs.

    Raises:
        DataError: if there are none, they differ in kind or shape, or are not finite.
    """
    one = isinstance(batches, (Tensor, np.ndarray, Mapping, tuple))
    if not one and (isinstance(batches, (str, bytes)) or not isinstance(batches, Iterable)):
        raise DataError(f"batches are {type(batches).__name__}: {_EXPECTED}")
    parts = [_plain(batch) for batch in ([batches] if one else batches)]
    if not parts:
        raise DataError(f"there are no batches: {_EXPECTED}")
    flat = [_pytree.tree_flatten(part) for part in parts]
    for number, (leaves, specification) in enumerate(flat):
        if specification != flat[0][1]:
            raise DataError(f"batch {number} is built otherwise than the first: {_EXPECTED}")
        _check(leaves, flat[0][0], number)
    whole = _pytree.tree_unflatten(
        [torch.cat(values) for values in zip(*(leaves for leaves, _ in flat), strict=True)],
        flat[0][1],
    )
    return (whole[0], whole[1]) if isinstance(whole, tuple) and len(whole) == 2 else (whole, None)


def are_labels(targets: Samples | None) -> bool:
    """Whether targets are whole numbers (n,), as the cross-entropy takes them."""
    return isinstance(targets, Tensor) and targets.dim() == 1 and not targets.is_floating_point()


def are_structured(batch: object) -> bool:
    """Whether a batch is a dict, or a pair of dicts or several inputs with targets: no images."""
    if isinstance(batch, Mapping):
        return True
    if not isinstance(batch, (tuple, list)) or len(batch) != 2 or not _is_array(batch[1]):
        return False
    inputs = batch[0]
    if isinstance(inputs, Mapping):
        return True
    return (
        isinstance(inputs, (tuple, list))
        and len(inputs) > 1
        and all(_is_array(values) and values.ndim > 0 for values in inputs)
    )


def with_first(batches: Any) -> tuple[object, Any]:
    """Look at the first of some batches.

    Args:
        batches: what `joined` takes.

    Returns:
        The first batch, or all of them where they are one; and the batches, none of them lost.
    """
    if isinstance(batches, list):
        return (batches[0] if batches else None), batches
    one = _is_array(batches) or isinstance(batches, (Mapping, tuple, str, bytes))
    if one or not isinstance(batches, Iterable):
        return batches, batches
    others = iter(batches)
    try:
        first = next(others)
    except StopIteration:
        return None, []
    return first, chain([first], others)


def _is_array(value: object) -> TypeGuard[Tensor | NDArray[Any]]:
    return isinstance(value, (Tensor, np.ndarray))


def on_cpu(outputs: Any) -> Any:
    """Return what a network gave, its tensors on the CPU and without gradient."""
    # A network that derives by its inputs gives gradients whatever is around it.
    return mapped(lambda x: x.detach().cpu(), outputs)


def in_double(outputs: Any) -> Any:
    """Return what a network gave, its floating tensors in float64."""
    return mapped(lambda x: x.double() if x.is_floating_point() else x, outputs)


def times(outputs: Any, factor: float) -> Any:
    """Return what a network gave, its floating tensors multiplied."""
    return mapped(lambda x: x * factor if x.is_floating_point() else x, outputs)


def _plain(value: Any) -> Any:
    """Bring a batch to tensors on the CPU in tuples and dicts."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(np.array(value))
    if not isinstance(value, Tensor):
        absent = "; leave out what is None, or let a forward feed it" if value is None else ""
        raise DataError(f"a batch holds {type(value).__name__}: {_EXPECTED}{absent}")
    check_numbers(value, "the samples")
    with torch.inference_mode(mode=False):
        plain = value.detach()
        plain = (plain.clone() if plain.is_inference() else plain).cpu()
        return in_single_precision(plain, "the samples") if plain.is_floating_point() else plain


def _check(leaves: Sequence[Tensor], first: Sequence[Tensor], number: int) -> None:
    if not leaves or any(values.dim() == 0 or len(values) == 0 for values in leaves):
        raise DataError(f"batch {number} has no samples along a first axis: {_EXPECTED}")
    counts = sorted({len(values) for values in leaves})
    if len(counts) > 1:
        raise DataError(f"batch {number} has tensors of {counts[0]} and of {counts[-1]} samples")
    for values, other in zip(leaves, first, strict=True):
        if values.shape[1:] != other.shape[1:]:
            raise DataError(
                f"samples must be of one size, there are {tuple(other.shape[1:])} and "
                f"{tuple(values.shape[1:])}: crop or pad them first"
            )
        if not bool(values.isfinite().all()):
            raise DataError(f"samples must be finite, batch {number} holds inf or nan")


def _tensors(samples: Samples) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(samples) if isinstance(leaf, Tensor)]
