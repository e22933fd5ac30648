"""Reductions that take a layer piece by piece, accumulating in float64.

Each accumulator keeps, for every entry (and every bit choice, where its argument has a bit
axis), what it needs to combine pieces of any length. Pieces come in a fixed order, so a result
does not depend on what else is computed beside it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

Pieces = Sequence[Tensor]
"""The arguments' elements of one piece: (elements,) or (bits, elements) each."""


class Accumulator(ABC):
    """Combines pieces of entries to one number per entry.

    Args:
        shape: ``(entries,)`` or ``(entries, bits)`` of the result.
        device: Where the pieces lie.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self._shape = shape
        self._device = device
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
        length = blocks[0].shape[-1]
        for offset, (start, stop) in enumerate(pairwise((*starts, length))):
            self.take(first + offset, [block[..., start:stop] for block in blocks])

    def result(self) -> Tensor:
        """Give the reduction over all pieces taken, float64 (entries,) or (entries, bits)."""
        counts = torch.tensor(self._counts, dtype=torch.float64, device=self._device)
        return self._result(counts.view(-1, *[1] * (len(self._shape) - 1)))

    def _zeros(self, fill: float = 0.0) -> Tensor:
        return torch.full(self._shape, fill, dtype=torch.float64, device=self._device)

    @abstractmethod
    def _take(self, entry: int, pieces: Pieces) -> None: ...

    @abstractmethod
    def _result(self, counts: Tensor) -> Tensor: ...


class _Sums(Accumulator):
    """Adds up one or more elementwise functions of the pieces."""

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        terms: Callable[[Pieces], tuple[Tensor, ...]],
        finish: Callable[[tuple[Tensor, ...], Tensor], Tensor],
        count: int = 1,
    ) -> None:
        super().__init__(shape, device)
        self._terms, self._finish = terms, finish
        self._totals = tuple(self._zeros() for _ in range(count))

    def take_block(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        """Take several entries with one segmented sum, where there is no device to wait for."""
        if len(starts) == 1 or self._device.type != "cpu":
            super().take_block(first, starts, blocks)
            return
        for total, term in zip(self._totals, self._terms(blocks), strict=True):
            sums = np.add.reduceat(term.numpy(), starts, axis=-1, dtype=np.float64)
            total[first : first + len(starts)] += torch.from_numpy(sums.T)
        for offset, (start, stop) in enumerate(pairwise((*starts, blocks[0].shape[-1]))):
            self._counts[first + offset] += stop - start

    def _take(self, entry: int, pieces: Pieces) -> None:
        for total, term in zip(self._totals, self._terms(pieces), strict=True):
            total[entry] += term.sum(-1, dtype=torch.float64)

    def _result(self, counts: Tensor) -> Tensor:
        return self._finish(self._totals, counts)


class _Extreme(Accumulator):
    """Keeps the smallest or the largest element."""

    def __init__(self, shape: tuple[int, ...], device: torch.device, *, largest: bool) -> None:
        super().__init__(shape, device)
        self._reduce = torch.amax if largest else torch.amin
        self._combine = torch.maximum if largest else torch.minimum
        self._segmented = np.maximum if largest else np.minimum
        self._extreme = self._zeros(-torch.inf if largest else torch.inf)

    def take_block(self, first: int, starts: Sequence[int], blocks: Pieces) -> None:
        """Take several entries with one segmented extreme, where there is no device to wait for."""
        if len(starts) == 1 or self._device.type != "cpu":
            super().take_block(first, starts, blocks)
            return
        ends = self._segmented.reduceat(blocks[0].numpy(), starts, axis=-1)
        here = slice(first, first + len(starts))
        pieces = torch.from_numpy(ends.T.astype(np.float64))
        self._extreme[here] = self._combine(self._extreme[here], pieces)

    def _take(self, entry: int, pieces: Pieces) -> None:
        piece = self._reduce(pieces[0], dim=-1).double()
        self._extreme[entry] = self._combine(self._extreme[entry], piece)

    def _result(self, counts: Tensor) -> Tensor:  # noqa: ARG002 - no mean is taken
        return self._extreme


class _Spread(Accumulator):
    """Variance, merged from the means and squared deviations of the pieces.

    Source: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing
    sample variances (1979).
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device, *, root: bool) -> None:
        super().__init__(shape, device)
        self._root = root
        self._mean, self._deviation = self._zeros(), self._zeros()

    def _take(self, entry: int, pieces: Pieces) -> None:
        piece = pieces[0].double()
        before, here = self._counts[entry], piece.shape[-1]
        mean = piece.mean(-1)
        deviation = (piece - mean.unsqueeze(-1)).square().sum(-1)
        shift = mean - self._mean[entry]
        self._deviation[entry] += deviation + shift.square() * (before * here / (before + here))
        self._mean[entry] += shift * (here / (before + here))

    def _result(self, counts: Tensor) -> Tensor:
        variance = self._deviation / counts
        return variance.sqrt() if self._root else variance


class _Divergence(Accumulator):
    """Kullback-Leibler divergence of two softmaxes, with running maxima."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        super().__init__(shape, device)
        self._largest = [self._zeros(-torch.inf), self._zeros(-torch.inf)]
        self._totals = [self._zeros(), self._zeros()]
        self._weighted = self._zeros()

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


def _difference(pieces: Pieces) -> Tensor:
    return pieces[0].double() - pieces[1].double()


def _square(pieces: Pieces) -> tuple[Tensor, ...]:
    return (pieces[0].double().square(),)


def _products(pieces: Pieces) -> tuple[Tensor, ...]:
    x, y = (piece.double() for piece in pieces)
    product = x * y
    return (product, x.square().expand_as(product), y.square().expand_as(product))


def _unequal_signs(pieces: Pieces) -> tuple[Tensor, ...]:
    x, y = pieces
    return ((torch.sign(x) != torch.sign(y)).to(x.dtype),)


def _plain(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    return totals[0]


def _mean(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:
    return totals[0] / counts


def _root(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    return totals[0].sqrt()


def _cosine(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    products, left, right = totals
    return products / (left * right).sqrt()


Maker = Callable[[tuple[int, ...], torch.device], Accumulator]

_SUMS: dict[str, tuple[Callable[[Pieces], tuple[Tensor, ...]], Callable[..., Tensor], int]] = {
    "sum": (lambda p: (p[0],), _plain, 1),
    "mean": (lambda p: (p[0],), _mean, 1),
    "l1_mean": (lambda p: (p[0].abs(),), _mean, 1),
    "frobenius_norm": (_square, _root, 1),
    "mse": (lambda p: (_difference(p).square(),), _mean, 1),
    "l1_distance": (lambda p: (_difference(p).abs(),), _mean, 1),
    "pairwise_distance": (lambda p: (_difference(p).square(),), _root, 1),
    "cosine_similarity": (_products, _cosine, 3),
    "hamming_distance": (_unequal_signs, _mean, 1),
}
_OTHERS: dict[str, Maker] = {
    "minimum": lambda shape, device: _Extreme(shape, device, largest=False),
    "maximum": lambda shape, device: _Extreme(shape, device, largest=True),
    "variance": lambda shape, device: _Spread(shape, device, root=False),
    "standard_deviation": lambda shape, device: _Spread(shape, device, root=True),
    "kl_divergence": _Divergence,
}


class _Collected(Accumulator):
    """Keeps all pieces and applies a reduction of a user's own to each entry at the end."""

    def __init__(
        self,
        shape: tuple[int, ...],
        device: torch.device,
        function: Callable[..., Tensor],
    ) -> None:
        super().__init__(shape, device)
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


def make_accumulator(
    name: str,
    function: Callable[..., Tensor],
    shape: tuple[int, ...],
    device: torch.device,
) -> Accumulator:
    """Make the accumulator of a reduction.

    Args:
        name: The reduction's name.
        function: What it computes on a whole entry, for those without an accumulator.
        shape: ``(entries,)`` or ``(entries, bits)`` of its result.
        device: Where the pieces lie.
    """
    if name in _SUMS:
        terms, finish, count = _SUMS[name]
        return _Sums(shape, device, terms, finish, count)
    if name in _OTHERS:
        return _OTHERS[name](shape, device)
    return _Collected(shape, device, function)
