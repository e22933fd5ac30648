"""Which of a network's outputs have a row for each sample, however many go together."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gp_emq.errors import NetworkError, StatisticsError
from gp_emq.networks._samples import Samples, take
from gp_emq.networks._trees import leaves_of, with_leaves


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

    @property
    def flags(self) -> tuple[bool, ...] | None:
        """Whether each leaf of the outputs has such rows; None where two samples do not tell.

        Raises:
            StatisticsError: if an output of one sample has another shape beside a second one.
        """
        return None if self.axes is None else tuple(axis == 0 for axis in self.axes)

    @cached_property
    def axes(self) -> tuple[int | None, ...] | None:
        """The axis of each leaf along which samples lie; None of those that have no such axis.

        Raises:
            StatisticsError: if an output of one sample has another shape beside a second one.
        """
        alone = leaves_of(self._run(self._one))
        try:
            beside = leaves_of(self._run(take(self._one, [0, 0])))
        except NetworkError:
            return None
        if len(alone) != len(beside):
            return None  # a list with something for each sample, say
        return tuple(_axis(one, two) for one, two in zip(alone, beside, strict=True))

    def part(self, outputs: Any, place: int, samples: int) -> Any:
        """Take what is of one sample out of outputs.

        Args:
            outputs: of some samples.
            place: of the one among them.
            samples: how many they are.

        Returns:
            The same structure; None where it is not known what is of one sample.
        """
        if self.axes is None:
            return [outputs[place]] if _is_list_of(outputs, samples) else None
        leaves = leaves_of(outputs)
        check_as_many(len(self.axes), len(leaves))
        return with_leaves(
            outputs,
            [
                leaf if axis is None else leaf.narrow(axis, place, 1)
                for leaf, axis in zip(leaves, self.axes, strict=True)
            ],
        )

    def joined(self, outputs: Sequence[Any], counts: Sequence[int]) -> Any:
        """Join what the network gave for parts of the samples.

        Args:
            outputs: of each part.
            counts: how many samples each part has.

        Returns:
            The same structure, or all elements where there is a list of one for each sample. What
            no sample has a part in is the mean over the samples, where it is floating.

        Raises:
            StatisticsError: if some have more outputs than others.
        """
        if self.axes is None and all(map(_is_list_of, outputs, counts)):
            return [one for part in outputs for one in part]
        leaves = [leaves_of(part) for part in outputs]
        axes = [0 if _has_axis(leaf) else None for leaf in leaves[0]]
        axes = axes if self.axes is None else list(self.axes)
        for part in leaves:
            check_as_many(len(axes), len(part))
        parts = zip(zip(*leaves, strict=True), axes, strict=True)
        return with_leaves(outputs[0], [_joined(values, axis, counts) for values, axis in parts])


def _axis(one: object, two: object) -> int | None:
    """Return the axis that grows with the samples, given an output for one and for two of them."""
    if not isinstance(one, Tensor) or not isinstance(two, Tensor):
        return None
    if one.dim() != two.dim():  # a forward that squeezes away the axis of one sample
        return 0 if one.shape == two.shape[1:] and len(two) == 2 else None
    if one.shape[:1] == (1,) and two.shape[:1] == (2,):
        check_alike(one.shape, two.shape)
        return 0
    sizes = zip(one.shape, two.shape, strict=True)
    grown = [axis for axis, (before, after) in enumerate(sizes) if before != after]
    fits = len(grown) == 1 and (one.shape[grown[0]], two.shape[grown[0]]) == (1, 2)
    return grown[0] if fits else None


def _has_axis(leaf: object) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > 0


def _is_list_of(output: object, samples: int) -> bool:
    return isinstance(output, (list, tuple)) and len(output) == samples


def _joined(values: Sequence[Any], axis: int | None, counts: Sequence[int]) -> Any:
    first = values[0]
    if not isinstance(first, Tensor):
        return first
    if axis == 0:
        # A forward may squeeze away the axis of one sample.
        return torch.cat([
            value if value.shape[:1] == (count,) else value[None]
            for value, count in zip(values, counts, strict=True)
        ])  # fmt: skip
    if axis is not None:
        return torch.cat(list(values), dim=axis)
    if not first.is_floating_point() or any(value.shape != first.shape for value in values):
        return first
    shares = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    weighted = [value.double() * share for value, share in zip(values, shares, strict=True)]
    return torch.stack(weighted).sum(dim=0).to(first.dtype)


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
