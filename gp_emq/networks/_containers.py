"""What a user may hand in as images and labels, brought to two tensors."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from gp_emq.errors import DataError
from gp_emq.networks._finite import check_numbers, in_single_precision

Images = Tensor | NDArray[Any] | Iterable[Any] | Dataset[Any]
"""A tensor or array (n, ...), a sequence of images, or anything that gives batches."""

Labels = Tensor | NDArray[Any] | Sequence[Any]
"""Whole numbers (n,)."""

_EXPECTED = (
    "give a tensor or an array (n, channels, height, width), a list of images of one size, or "
    "a DataLoader that gives images or (images, labels); dicts, several inputs and other tasks are "
    "given as a gp_emq.Workload"
)
_SEVERAL = "((first, second, ...), labels)"
_ARRAYS = (Tensor, np.ndarray)
_INDICES = ("int32", "int64")
"""Types of whole numbers that an embedding takes."""
_BATCH_AXES = 4
"""Axes from which on an element of a list is a batch of images instead of one image."""


def image_batch(images: Images, labels: Labels | None = None) -> tuple[Tensor, Tensor | None]:
    """Bring images and labels, however they are kept, to tensors on the CPU.

    Args:
        images: a tensor or numpy array (n, ...); a list of images, all of one size, or of batches
            (n, channels, height, width); a data set of images or (image, label) pairs; a
            DataLoader or another iterable of batches, of images or (images, labels) pairs.
        labels: whole numbers (n,), as a tensor, an array or a list; None for those that come with
            the images, if any do.

    Returns:
        Images, float32 (n, ...), or token ids as they are, int32 or int64 (n, steps); and labels,
        int64 (n,) or None.

    Raises:
        DataError: if they are of another kind, of several sizes, none at all, or not finite, if
            labels are no whole numbers or not one for each image, or if there are two of them.
    """
    if isinstance(images, _ARRAYS):
        taken, own = _tensor(images, "images"), None
    else:
        taken, own = _joined(images)
    if labels is not None and own is not None:
        raise DataError("labels come with the images already: give them once")
    checked = _check_images(taken)
    given = own if labels is None else _labels(labels)
    return checked, None if given is None else _check_labels(given, len(checked))


def _joined(images: Iterable[Any] | Dataset[Any]) -> tuple[Tensor, Tensor | None]:
    """Join what an iterable gives."""
    if isinstance(images, (str, bytes, Mapping)) or not isinstance(images, (Iterable, Dataset)):
        _refuse(images, "images")
    if isinstance(images, tuple) and _is_pair(images):
        return image_batch(*images)
    if isinstance(images, tuple) and any(_are_indices(part) for part in images):
        raise DataError(
            f"a tuple of {len(images)} with token ids is no (ids, labels): give several inputs as "
            f"a dict by name or as {_SEVERAL}, and targets that are no labels (n,) with a loss"
        )
    single = isinstance(images, (list, tuple)) or (
        isinstance(images, Dataset) and not isinstance(images, IterableDataset)
    )
    parts: list[Tensor] = []
    labels: list[Tensor] = []
    for item in images:  # type: ignore[union-attr]
        image, label = _item(item)
        one = single and image.dim() < _BATCH_AXES if label is None else label.dim() == 0
        one &= not (isinstance(images, list) and _are_indices(image))
        parts.append(image[None] if one else image)
        if label is not None:
            labels.append(label.reshape(-1) if label.dim() == 0 else label)
    if not parts:
        raise DataError(f"there are no images: {_EXPECTED}")
    sizes = sorted({tuple(part.shape[1:]) for part in parts})
    if len(sizes) > 1:
        several = f"; several inputs come as {_SEVERAL}, and targets that are no labels need a loss"
        raise DataError(
            f"images must be of one size, there are {sizes[0]} and {sizes[1]}: resize or crop "
            f"them first{several if isinstance(images, tuple) else ''}"
        )
    if labels and len(labels) < len(parts):
        raise DataError(f"{len(labels)} of {len(parts)} batches have labels: give all or none")
    return torch.cat(parts), torch.cat(labels) if labels else None


def _is_pair(images: tuple[Any, ...]) -> bool:
    """Tell all images and all labels from two images."""
    if len(images) != 2 or not all(isinstance(part, _ARRAYS) for part in images):
        return False
    return bool(images[1].ndim == 1 < images[0].ndim)


def _are_indices(value: object) -> bool:
    """Tell token ids (n, steps) from images."""
    if not isinstance(value, _ARRAYS) or value.ndim != 2:
        return False
    return str(value.dtype).removeprefix("torch.") in _INDICES


def _item(item: object) -> tuple[Tensor, Tensor | None]:
    """Take one element of an iterable apart into images and labels."""
    if isinstance(item, (list, tuple)):
        if len(item) == 2:
            return _tensor(item[0], "images"), _labels(item[1])
        if len(item) == 1:
            return _tensor(item[0], "images"), None
        if not item or not isinstance(item[0], _ARRAYS):
            _refuse(item, "images")
        raise DataError(
            f"the images come in groups of {len(item)}: give images or (images, labels), "
            f"without masks or anything else; several inputs come as {_SEVERAL}"
        )
    return _tensor(item, "images"), None


def _tensor(value: object, what: str) -> Tensor:
    """Bring a tensor or an array to a tensor on the CPU."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise DataError(f"{what} must be numbers, they are {value.dtype}")
        value = torch.from_numpy(np.array(value))
    if not isinstance(value, Tensor):
        _refuse(value, what)
    check_numbers(value, what)
    with torch.inference_mode(mode=False):
        # A clone of a tensor that was made in inference mode is one that autograd takes.
        plain = value.detach()
        return (plain.clone() if plain.is_inference() else plain).cpu()


def _refuse(value: object, what: str) -> NoReturn:
    hint = _EXPECTED if what == "images" else "give whole numbers (n,)"
    raise DataError(f"{what} are {_described(value)}: {hint}")


def _described(value: object) -> str:
    kind = type(value)
    if isinstance(value, (list, tuple)) and value:
        return f"{kind.__name__} of {type(value[0]).__name__}"
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _labels(labels: object) -> Tensor:
    """Bring labels to a tensor; a single number stays without axes."""
    if isinstance(labels, _ARRAYS):
        return _tensor(labels, "labels")
    if isinstance(labels, (list, tuple, int, np.integer)):
        # Refused below, as whatever else is no list of numbers.
        with suppress(ValueError, TypeError, RuntimeError, OverflowError):
            return torch.as_tensor(labels).cpu()
    _refuse(labels, "labels")


def _check_images(images: Tensor) -> Tensor:
    if images.numel() == 0:
        raise DataError(f"there are no images in a tensor of shape {tuple(images.shape)}")
    if images.dim() in {0, 1, 3}:
        raise DataError(
            f"images must be (n, channels, height, width), got {tuple(images.shape)}; other inputs "
            "come in a dict by the name of the argument, {'x': ...}, and as ({'x': ...}, labels) "
            "with labels, or in a gp_emq.Workload with a loss"
        )
    if _are_indices(images):
        return images
    images = in_single_precision(images, "images")
    finite = images.flatten(1).isfinite().all(dim=1)
    if not bool(finite.all()):
        where = int(finite.int().argmin())
        raise DataError(f"images must be finite, image {where} holds inf or nan")
    return images


def _check_labels(labels: Tensor, images: int) -> Tensor:
    if labels.shape != (images,) or labels.is_floating_point():
        raise DataError(
            f"labels must be {images} whole numbers, "
            f"got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    return labels.to(torch.int64)
