"""Whether a table can rank bit configurations."""

import numpy as np
import torch
from torch import Tensor

from gp_emq.errors import OperatorError
from gp_emq.evolution._objective import FloatArray, centred
from gp_emq.evolution._reasons import BY_OPERATOR, CONSTANT, NOT_FINITE, PRECISION, SHAPE
from gp_emq.proxies import TreeError

PRECISION_TOLERANCE = 1e-3
"""Largest disagreement of float32 and float64, as a share of the spread of the table."""

CONSTANT_TOLERANCE = 1e-12
"""Rows that vary by less than this share of the largest magnitude are constant."""


def judged(result: Tensor | TreeError, *, may_be_constant: bool = False) -> FloatArray | str:
    """Give a table, or why it is rejected.

    Args:
        result: The table as the evaluator gives it, (entries, bits), or why there is none.
        may_be_constant: Whether one that gives all configurations the same score passes.
    """
    if not isinstance(result, Tensor):
        return _reason_of(result)
    if not _gives_finite_scores(result):
        return NOT_FINITE
    table: FloatArray = result.numpy()
    return CONSTANT if not may_be_constant and is_constant(table) else table


def compared(
    single: FloatArray, double: Tensor | TreeError, otherwise: str = PRECISION
) -> str | None:
    """Say why a table is rejected beside another that should rank alike, or None.

    Args:
        single: The table that passed, (entries, bits).
        double: The other, such as that in float64.
        otherwise: Why, where they do not.
    """
    if not isinstance(double, Tensor):
        return _reason_of(double)
    if not _gives_finite_scores(double):
        return NOT_FINITE
    reference = centred(double.numpy())
    spread = float(np.ptp(reference))
    error = float(np.abs(centred(single) - reference).max())
    return otherwise if error > PRECISION_TOLERANCE * spread else None


def is_same(table: FloatArray, stored: FloatArray) -> bool:
    """Say whether two tables agree but for rounding, such as between kinds of machines."""
    if table.shape != stored.shape:
        return False
    reference = centred(stored)
    error = float(np.abs(centred(table) - reference).max())
    return error <= PRECISION_TOLERANCE * float(np.ptp(reference))


def is_constant(table: FloatArray) -> bool:
    """Say whether a finite table gives all configurations the same score."""
    scale = float(np.abs(table).max())
    return bool(np.ptp(table, axis=1).max() <= CONSTANT_TOLERANCE * scale)


def _reason_of(error: TreeError) -> str:
    return BY_OPERATOR + error.reason if isinstance(error, OperatorError) else SHAPE


def _gives_finite_scores(table: Tensor) -> bool:
    # No score, centred or not, is larger than this sum.
    return bool(torch.isfinite(table.abs().sum()))
