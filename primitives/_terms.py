"""Reductions that are sums of something elementwise, and what is made of the sums."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from primitives._workspace import Workspace

Pieces = Sequence[Tensor]
"""The arguments' elements of one piece: (elements,) or (bits, elements) each."""

Terms = Callable[[Pieces, Workspace], tuple[Tensor, ...]]
"""Gives what is added up, for each sum one number per element, in scratch or not."""

Finish = Callable[[tuple[Tensor, ...], Tensor], Tensor]
"""Makes the result of the sums and of the counts of elements."""


def itself(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:  # noqa: ARG001
    return (pieces[0],)


def magnitude(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:
    return (torch.abs(pieces[0], out=workspace.like(pieces[0])),)


def square(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:
    return (workspace.double(pieces[0]).square_(),)


def _difference(pieces: Pieces, workspace: Workspace) -> Tensor:
    """Subtract in float64, into scratch shaped as the argument with a bit axis."""
    x, y = pieces
    if x.dim() < y.dim():
        return workspace.double(y).neg_().add_(workspace.double(x, 1))
    return workspace.double(x).sub_(workspace.double(y, 1))


def distance(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:
    return (_difference(pieces, workspace).abs_(),)


def squared_distance(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:
    return (_difference(pieces, workspace).square_(),)


def products(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:
    x, y = (workspace.double(piece, slot) for slot, piece in enumerate(pieces))
    larger = x if x.dim() >= y.dim() else y
    product = torch.mul(x, y, out=workspace.like(larger, 2))
    return (product, x.square_().expand_as(product), y.square_().expand_as(product))


def unequal_signs(pieces: Pieces, workspace: Workspace) -> tuple[Tensor, ...]:  # noqa: ARG001
    x, y = pieces
    return ((torch.sign(x) != torch.sign(y)).to(x.dtype),)


def plain(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    return totals[0]


def mean(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:
    return totals[0] / counts


def root(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    return totals[0].sqrt()


def cosine(totals: tuple[Tensor, ...], counts: Tensor) -> Tensor:  # noqa: ARG001
    products, left, right = totals
    return products / (left * right).sqrt()
