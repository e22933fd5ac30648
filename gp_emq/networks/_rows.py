"""Which of a network's outputs have a row for each sample, however many go together."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from gp_emq.errors import NetworkError, StatisticsError
from gp_emq.networks._samples import Samples, take


class Rows:
    """Which outputs have a row for each sample, found when first asked for.

    A length says too little: the last state of two directions, or the load of each of four experts,
    is as long as a batch of two or of four samples is. So one sample is run alone, and twice in a
    batch.

    Args:
        run: feeds inputs to the network, and returns what it gives.
        samples: of which the first is run.
    """

    def __init__(self, run: Callable[[Samples], Any], samples: Samples) -> None:
        self._run = run
        self._one = take(samples, [0])

    @cached_property
    def flags(self) -> tuple[bool, ...] | None:
        """Whether each leaf of the outputs has such rows; None where two samples do not tell.

        Raises:
            StatisticsError: if an output of one sample has another shape beside a second one.
        """
        alone = _pytree.tree_leaves(self._run(self._one))
        try:
            beside = _pytree.tree_leaves(self._run(take(self._one, [0, 0])))
        except NetworkError:
            return None
        if len(alone) != len(beside):
            return None  # a list with something for each sample, say
        return tuple(_has_rows(one, two) for one, two in zip(alone, beside, strict=True))


def _has_rows(one: object, two: object) -> bool:
    """Tell whether an output grows with the samples, given it for one and for two of them."""
    if not isinstance(one, Tensor) or not isinstance(two, Tensor) or two.shape[:1] != (2,):
        return False
    if one.dim() != two.dim():
        return one.shape == two.shape[1:]  # a forward that squeezes away the axis of one sample
    if len(one) != 1:
        return False
    check_alike(one.shape, two.shape)
    return True


def check_as_many(one: int, other: int) -> None:
    """Refuse outputs of which there are now more, now fewer.

    Args:
        one: How many leaves the outputs of the first sample have.
        other: How many those of others have.

    Raises:
        StatisticsError: if they differ.
    """
    if one != other:
        raise StatisticsError(
            f"the network gives {one} outputs for the first sample and {other} for others, which "
            "cannot be compared: a forward of Workload can choose those that there always are"
        )


def check_alike(one: torch.Size, other: torch.Size) -> None:
    """Refuse outputs whose shape depends on what else is in a batch.

    Args:
        one: Shape of the outputs of some samples.
        other: Shape of those of others, or of the same in another batch.

    Raises:
        StatisticsError: if they differ in more than the number of samples.
    """
    if one[1:] != other[1:]:
        raise StatisticsError(
            f"the network gives outputs of shape {tuple(one)} for {one[0]} of the samples and of "
            f"shape {tuple(other)} for {other[0]}: what a sample gives must not have another shape "
            "in another batch; a forward of Workload can pad it, or make one of each sample's own"
        )
