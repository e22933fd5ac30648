"""The logits that a classifier gives."""

import math

from torch import Tensor

from gp_emq.errors import DataError, StatisticsError
from gp_emq.networks._divergence import described

_NEAREST, _FARTHEST = 1e-5, 1e15
"""Differences of logits from class to class that a divergence can be had of."""


def logits_of(output: object, images: int) -> Tensor:
    """Return a network's output as logits (n, classes).

    Args:
        output: What the network gave.
        images: How many images it was fed.

    Raises:
        StatisticsError: The output is no matrix of logits.
    """
    if isinstance(output, Tensor) and output.dim() == 1 and images == 1:
        output = output[None]  # a forward that squeezes away the axis of a single image
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != images:
        raise StatisticsError(
            f"the network must map {images} images to ({images}, classes) logits, it gives "
            f"{described(output)}; a network of other outputs is given as a gp_emq.Workload with a "
            "loss of them, or with its inputs in a dict by name and no labels, where what the "
            "float network gives counts as right"
        )
    return output


def check_classes(logits: Tensor) -> Tensor:
    """Return logits (n, classes) that a cross-entropy or a prediction can be taken of.

    Raises:
        StatisticsError: There are no two classes.
    """
    if logits.shape[1] < 2:
        raise StatisticsError(
            f"the network gives one number for each image, {tuple(logits.shape)}: losses and "
            "predictions need logits (n, classes) of two classes or more"
        )
    return logits


def check_spread(logits: Tensor) -> None:
    """Refuse logits that softmax makes all alike, or that float32 has no room for the squares of.

    Args:
        logits: (n, ..., classes) of a few samples or more; those of one size for all are taken.

    Raises:
        StatisticsError: They are so near to each other, or so far.
    """
    widest = float((logits.amax(dim=-1) - logits.amin(dim=-1)).double().max())
    if not math.isfinite(widest) or widest == 0 or _NEAREST <= widest <= _FARTHEST:
        return
    what = (
        "softmax makes them all alike, but for rounding"
        if widest < _NEAREST
        else "float32 has no room for squares of such numbers"
    )
    raise StatisticsError(
        f"the network's logits differ by {widest:.3g} at most from class to class: {what}; let the "
        f"network, or a forward of Workload, {'multiply' if widest < _NEAREST else 'divide'} them"
    )


def check_range(labels: Tensor, classes: int, name: str = "the network", of: str = "data") -> None:
    """Refuse labels that are no classes of a network.

    Args:
        labels: Whole numbers.
        classes: How many classes there are.
        name: Of the network, for the complaint.
        of: What the labels are of, likewise.

    Raises:
        DataError: A label is less than 0, or not less than `classes`.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"{name} tells {classes} classes apart: labels must be 0 to {classes - 1}, those of "
            f"the {of} reach from {low} to {high}"
        )
