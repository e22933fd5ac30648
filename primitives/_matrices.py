"""Operators on a layer's tensor seen as a matrix: a row per output channel, or per image."""

from functools import partial

import torch

from primitives import _scaling
from primitives._operator import Operator, Role, ShapeMismatchError


def as_rows(x: torch.Tensor) -> torch.Tensor:
    """Give a layer's tensor (rows, ...) as a (rows, columns) matrix.

    Raises:
        ShapeMismatchError: For a single number, which has no rows.
    """
    if x.ndim == 0:
        raise ShapeMismatchError("a single number has no rows")
    return x.reshape(x.shape[0], -1)


def _gram(rows: torch.Tensor) -> torch.Tensor:
    return rows @ rows.T


def _row_distances(rows: torch.Tensor) -> torch.Tensor:
    return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")


def _row_product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    if left.shape[1] != right.shape[1]:
        raise ShapeMismatchError(f"rows of {left.shape[1]} and {right.shape[1]} elements")
    return left @ right.T


def _log_determinant(matrix: torch.Tensor) -> torch.Tensor:
    if matrix.shape[0] != matrix.shape[1]:
        raise ShapeMismatchError(f"a {tuple(matrix.shape)} matrix has no determinant")
    if not bool(torch.isfinite(matrix).all()):
        return matrix.new_full((), torch.nan)
    # In one layout: of a matrix that is nearly singular the rounding decides.
    logarithm: torch.Tensor = torch.linalg.slogdet(matrix.contiguous()).logabsdet
    return logarithm


_matrix = partial(Operator, kind=Role.MATRIX)

MATRIX: tuple[Operator, ...] = (
    _matrix("gram", 1, function=_gram, formula="X Xᵀ", template="gram({0})", even=True,
            scaling=_scaling.powers(2)),
    _matrix("row_distances", 1, function=_row_distances,
            scaling=_scaling.SPREAD,
            formula="Euclidean distances between the rows of X", template="pdist({0})", even=True,
            non_negative=True),
    _matrix("matrix_product", 2, function=_row_product, formula="X Yᵀ", template="({0})({1})ᵀ",
            scaling=_scaling.powers(1, 1),
            odd_in_each=True),
)  # fmt: skip
"""A layer's tensor in, a (rows, rows) matrix out."""

LOG_DETERMINANT = Operator(
    "log_determinant", 1, Role.MATRIX_REDUCTION, _log_determinant,
    scaling=_scaling.determinant,
    formula="log|det X| (−inf for a singular matrix)", template="log|det {0}|", even=True,
)  # fmt: skip
