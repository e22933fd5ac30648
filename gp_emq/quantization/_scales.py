"""Rules that choose a grid: least squared error, min-max, percentile."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gp_emq.determinism import one_thread
from gp_emq.quantization._least_error import least_error_grids
from gp_emq.quantization._names import SCALE_RULES
from gp_emq.quantization._ranges import range_of, spanning, usable
from gp_emq.quantization._shrunk_range import shrunk_range
from gp_emq.quantization._uniform import (
    QuantizationParameters,
    in_full_precision,
    integer_range,
)

_MOST_KNOWN = 1 << 12
"""Weights at a width, of which a network of 200 layers and 8 widths has 1,600."""
_known: dict[bytes, tuple[NDArray[np.float64], NDArray[np.int64]]] = {}


def choose_parameters(
    rows: Tensor, bits: int, *, symmetric: bool, rule: str
) -> tuple[Tensor, Tensor]:
    """Choose the scale and zero point of each row.

    `mse` has the least squared error of all scales, and zero points. `minmax` takes the whole
    range (always with zero in it) as torch's observers do: `2 max|x| / (2^b - 1)` where
    symmetric, else `(max - min) / (2^b - 1)`. `percentile` takes, instead of the extremes, the
    99.9th percentile of |x| (symmetric) or the 0.1th and 99.9th of x. `mse-shrunk` shrinks the
    min-max range by the factor, at most 1, that has the least squared error.

    A row of zeros has a scale of 1.

    Args:
        rows: floating-point (rows, elements), one row per scale.
        bits: 2 to 8.
        symmetric: signed grid around zero, else a zero point.
        rule: one of `SCALE_RULES`.

    Returns:
        Scale and zero point, float32 (rows,).

    Raises:
        ValueError: if the rule is unknown.
    """
    check_rule(rule)
    values = in_full_precision(rows.detach())
    with one_thread(), torch.no_grad():
        if rule == "mse":
            return least_error(values.double(), bits, symmetric=symmetric)
        low, high = range_of(values, symmetric=symmetric, percentile=rule == "percentile")
        if rule == "mse-shrunk":
            low, high = shrunk_range(values, low, high, bits, symmetric=symmetric)
        return spanning(low, high, bits, symmetric=symmetric)


def least_error(
    rows: Tensor, bits: int, *, symmetric: bool, counts: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Choose the grid of least squared error of each row.

    The search is exact and takes long beside everything else that planning does once, and the same
    weights come again: to score a network, to measure plans of it, to quantize it. So what was
    found is kept while the process lives.

    Args:
        rows: float64 (rows, elements).
        bits: 2 to 8.
        symmetric: signed grid around zero, else a zero point.
        counts: how often each element counts, float64 (rows, elements); once by default.

    Returns:
        Scale and zero point, float32 (rows,).
    """
    given = [rows.numpy()] if counts is None else [rows.numpy(), counts.numpy()]
    mark = hashlib.blake2b(f"{rows.shape} {bits} {symmetric}".encode())
    for values in given:
        mark.update(np.ascontiguousarray(values).tobytes())
    key = mark.digest()
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            del _known[next(iter(_known))]
        found = least_error_grids(
            given[0], bits, symmetric=symmetric, counts=None if counts is None else given[1]
        )
        _known[key] = found
    scale, zero_point = found
    return usable(torch.tensor(scale)), torch.tensor(zero_point).float()


def check_rule(rule: str) -> None:
    """Refuse a rule that there is not.

    Raises:
        ValueError: if the rule is unknown.
    """
    if rule not in SCALE_RULES:
        raise ValueError(f"scale rule must be one of {', '.join(SCALE_RULES)}, not {rule!r}")


def shaped_parameters(
    scale: Tensor, zero_point: Tensor, bits: int, shape: tuple[int, ...], *, symmetric: bool
) -> QuantizationParameters:
    """Give scales (rows,) the shape that broadcasts, and the integers of their grid."""
    quant_min, quant_max = integer_range(bits, symmetric=symmetric)
    return QuantizationParameters(
        scale.reshape(shape), zero_point.reshape(shape), quant_min, quant_max
    )
