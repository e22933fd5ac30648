"""Reductions that take a layer piece by piece, accumulating in float64.

Each accumulator keeps, for every entry (and every bit choice, where its argument has a bit
axis), what it needs to combine pieces of any length. Pieces come in a fixed order, so a result
does not depend on what else is computed beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from primitives._terms import Finish, Pieces, Terms
from primitives._workspace import Workspace

Numbers = Any
"""Numbers that are combined: numpy's in the main memory, where they cost least, else tensors."""


class Accumulator(ABC):
    """Combines pieces of entries to one number per entry.

    Args:
        shape: ``(entries,)`` or ``(entries, bits)`` of the result.
        device: Where the pieces lie.
        workspace: Scratch.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device, workspace: Workspace) -> None:
        self._shape = shape
        self._device = device
        self._workspace = workspace
        self._on_cpu = _in_main_memory(device)
        self._counts = [0] * shape[0]

    def take(self, entry: int, pieces: Pieces) -> None:
        """Take the next piece of an entry."""
        self._take(entry, pieces)
        self._counts[entry] += pieces[0].shape[-1]

    def take_block(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        """Take a block that holds pieces of several neighbouring entries.

        Args:
            first: The first of these entries.
            starts: Where each entry's piece starts in the block; the last ends with it.
            blocks: The arguments' elements: (elements,) or (bits, elements) each.
        """
        if len(starts) == 1:
            self._take(first, blocks)
            self._counts[first] += blocks[0].shape[-1]
        else:
            self._take_several(first, starts, blocks)

    def result(self) -> Tensor:
        """Give the reduction over all pieces taken, float64 (entries,) or (entries, bits)."""
        counts = torch.tensor(self._counts, dtype=torch.float64, device=self._device)
        return self._result(counts.view(-1, *[1] * (len(self._shape) - 1)))

    def _full(self, fill: float = 0.0) -> Numbers:
        if self._on_cpu:
            return np.full(self._shape, fill)
        return torch.full(self._shape, fill, dtype=torch.float64, device=self._device)

    def _numbers(self, values: Tensor) -> Numbers:
        """Give a piece's result, one number or one for each width."""
        return values.numpy() if self._on_cpu else values

    def _take_several(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        length = blocks[0].shape[-1]
        for offset, (start, stop) in enumerate(pairwise((*starts, length))):
            self.take(first + offset, [block[..., start:stop] for block in blocks])

    @abstractmethod
    def _take(self, entry: int, pieces: Pieces) -> None: ...

    @abstractmethod
    def _result(self, counts: Tensor) -> Tensor: ...


def _in_main_memory(device: torch.device) -> bool:
    return device.type == "cpu"


class Sums(Accumulator):
    """Adds up one or more elementwise functions of the pieces."""

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        workspace: Workspace,
        *,
        terms: Terms,
        finish: Finish,
        count: int = 1,
    ) -> None:
        super().__init__(shape, device, workspace)
        self._terms, self._finish = terms, finish
        self._totals = tuple(self._full() for _ in range(count))

    def _take_several(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        # One segmented sum costs less than one for each entry.
        for total, term in zip(self._totals, self._terms(blocks, self._workspace), strict=True):
            sums: Numbers
            if self._on_cpu:
                sums = np.add.reduceat(term.numpy(), starts, axis=-1, dtype=np.float64).T
            else:
                sums = self._workspace.segments(starts, term).sums(term)
            total[first : first + len(starts)] += sums
        for offset, (start, stop) in enumerate(pairwise((*starts, blocks[0].shape[-1]))):
            self._counts[first + offset] += stop - start

    def _take(self, entry: int, pieces: Pieces) -> None:
        for total, term in zip(self._totals, self._terms(pieces, self._workspace), strict=True):
            total[entry] += self._numbers(term.sum(-1, dtype=torch.float64))

    def _result(self, counts: Tensor) -> Tensor:
        return self._finish(tuple(map(torch.as_tensor, self._totals)), counts)


class Extreme(Accumulator):
    """Keeps the smallest or the largest element."""

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        workspace: Workspace,
        *,
        largest: bool,
    ) -> None:
        super().__init__(shape, device, workspace)
        self._largest = largest
        self._reduce = torch.amax if largest else torch.amin
        self._segmented = np.maximum if largest else np.minimum
        self._combine: Callable[..., Numbers] = self._segmented
        if not self._on_cpu:
            self._combine = torch.maximum if largest else torch.minimum
        self._extreme = self._full(-torch.inf if largest else torch.inf)

    def _take_several(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        # One segmented extreme costs less than one for each entry.
        ends: Numbers
        if self._on_cpu:
            ends = self._segmented.reduceat(blocks[0].numpy(), starts, axis=-1).T
        else:
            segments = self._workspace.segments(starts, blocks[0])
            ends = segments.extremes(blocks[0], largest=self._largest)
        here = slice(first, first + len(starts))
        self._extreme[here] = self._combine(self._extreme[here], ends)

    def _take(self, entry: int, pieces: Pieces) -> None:
        piece = self._numbers(self._reduce(pieces[0], dim=-1).double())
        self._extreme[entry] = self._combine(self._extreme[entry], piece)

    def _result(self, counts: Tensor) -> Tensor:  # noqa: ARG002 - no mean is taken
        return torch.as_tensor(self._extreme)


class Spread(Accumulator):
    """Variance, merged from the means and squared deviations of the pieces.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances (1979).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        workspace: Workspace,
        *,
        root: bool,
    ) -> None:
        super().__init__(shape, device, workspace)
        self._root = root
        self._mean, self._deviation = self._full(), self._full()

    def _take(self, entry: int, pieces: Pieces) -> None:
        piece = self._workspace.double(pieces[0])
        before, here = self._counts[entry], piece.shape[-1]
        means = piece.mean(-1, keepdim=True)
        deviation = self._numbers(piece.sub_(means).square_().sum(-1))
        shift = self._numbers(means.squeeze(-1)) - self._mean[entry]
        self._deviation[entry] += deviation + shift * shift * (before * here / (before + here))
        self._mean[entry] += shift * (here / (before + here))

    def _result(self, counts: Tensor) -> Tensor:
        variance = torch.as_tensor(self._deviation) / counts
        return variance.sqrt() if self._root else variance


class Divergence(Accumulator):
    """Kullback-Leibler divergence of two softmaxes, with running maxima."""

    def __init__(self, shape: tuple[int, ...], device: torch.device, workspace: Workspace) -> None:
        super().__init__(shape, device, workspace)
        self._largest = [torch.as_tensor(self._full(-torch.inf)) for _ in range(2)]
        self._totals = [torch.as_tensor(self._full()) for _ in range(2)]
        self._weighted = torch.as_tensor(self._full())

    def _take(self, entry: int, pieces: Pieces) -> None:
        x, y = (piece.double() for piece in pieces)
        for place, piece in enumerate((x, y)):
            before = self._largest[place][entry]
            largest = torch.maximum(before, piece.amax(-1))
            rescale = (before - largest).exp()
            masses = (piece - largest.unsqueeze(-1)).exp()
            self._totals[place][entry] = self._totals[place][entry] * rescale + masses.sum(-1)
            if place == 0:
                self._weighted[entry] = self._weighted[entry] * rescale + (masses * (x - y)).sum(-1)
            self._largest[place][entry] = largest

    def _result(self, counts: Tensor) -> Tensor:  # noqa: ARG002 - no mean is taken
        normalisers = [
            largest + total.log()
            for largest, total in zip(self._largest, self._totals, strict=True)
        ]
        return self._weighted / self._totals[0] - normalisers[0] + normalisers[1]


class Collected(Accumulator):
    """Keeps all pieces and applies a reduction of a user's own to each entry at the end."""

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        workspace: Workspace,
        *,
        function: Callable[..., Tensor],
    ) -> None:
        super().__init__(shape, device, workspace)
        self._function = function
        self._pieces: list[list[list[Tensor]]] = [[] for _ in range(shape[0])]

    def _take(self, entry: int, pieces: Pieces) -> None:
        # Pieces are views of scratch that is written again.
        self._pieces[entry].append([piece.double().clone() for piece in pieces])

    def _result(self, counts: Tensor) -> Tensor:  # noqa: ARG002 - the function takes its means
        return torch.stack(
            [
                self._function(*(torch.cat(part, dim=-1) for part in zip(*pieces, strict=True)))
                for pieces in self._pieces
            ]
        )


MakeAccumulator = Callable[[tuple[int, ...], torch.device, Workspace], Accumulator]
"""Makes an accumulator: shape of the result, where the pieces lie, scratch."""


def sums(terms: Terms, finish: Finish, count: int = 1) -> MakeAccumulator:
    """Give what makes the accumulator of a reduction that adds something up.

    Args:
        terms: Gives what is added up, for each sum one number per element.
        finish: Makes the result of the sums and the counts of elements.
        count: How many sums.
    """
    return partial(Sums, terms=terms, finish=finish, count=count)
