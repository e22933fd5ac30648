"""Putting the scale and shift of each output channel into a layer's grid and an integer bias.

A layer whose input and output are on grids of 8 bits is computed in integers: the products of two
integers are summed in 32 bits, a bias joins them as an integer, and one multiplication per channel
takes the sum to the output's grid. What stands behind the layer as a scale and a shift of each
channel, as a batch norm does, is then a scale of the weight and a bias, and costs nothing. The one
thing that is not exact is the bias, which is rounded to a multiple of the input's scale times the
weight's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gp_emq.quantization import MAX_BITS

FREE = 64
"""Up to here integers of weights may grow. The sum of two products with an input of 8 bits then
fits 16 bits, to which processors without dot products limit it."""
COARSEST = 1 / 8
"""Of the output's step: the largest step that a bias may be rounded to."""
LEAST = 1e-3
"""Of the output's step: what a channel that reaches no further may lose."""

_INPUTS = (1 << MAX_BITS) - 1
_SUMS = (1 << 31) - 1
_INTEGERS = (-(1 << (MAX_BITS - 1)), (1 << (MAX_BITS - 1)) - 1)
_FINE = 1 / 1024


@dataclass(frozen=True)
class Folded:
    """A layer with whole numbers for weight and bias.

    Attributes:
        multipliers: int32 (out,), by which the integers of the weight are multiplied.
        scale: float32 (out,), of the multiplied integers; positive.
        bias: int32 (out,).
        bias_scale: float32 (out,), the scale of the input times that of the weight.
    """

    multipliers: NDArray[np.int32]
    scale: NDArray[np.float32]
    bias: NDArray[np.int32]
    bias_scale: NDArray[np.float32]


def fold(
    integers: NDArray[np.int32],
    scale: NDArray[np.float64],
    bias: NDArray[np.float64],
    *,
    input_scale: float,
    output_scale: float,
) -> Folded | None:
    """Give a layer whole numbers for weight and bias.

    Integers of narrow grids, which leave room in 8 bits, are multiplied and their scale divided:
    that makes the steps of the bias finer.

    Args:
        integers: (out, ...), of the weight, less their zero points.
        scale: (out,), of the weight times that of what follows; of any sign.
        bias: (out,), likewise.
        input_scale: Of the layer's input.
        output_scale: Of the grid that its output is rounded to.

    Returns:
        `None` where the bias is not met within half of `COARSEST`, or numbers do not fit.
    """
    rows = np.abs(integers.reshape(len(integers), -1).astype(np.int64))
    largest, reach = rows.max(axis=1), rows.sum(axis=1) * _INPUTS
    with np.errstate(all="ignore"):
        # What moves its output by next to nothing has a bias alone.
        still = reach * np.abs(scale) * input_scale <= LEAST * output_scale
        room = np.where(largest <= FREE, FREE // np.maximum(largest, 1), 1)
        multipliers = np.where(still, 0, room * np.where(scale < 0, -1, 1))
        fine = _FINE * output_scale / input_scale
        scales = np.where(still, fine, np.abs(scale) / room).astype(np.float32)
        steps = scales * np.float32(input_scale)
        biases = np.rint(bias / steps)
        # Beyond this, such a channel's output is at an end of its grid.
        biases = np.where(still, biases.clip(-1e6, 1e6), biases)
        sums = np.abs(biases) + reach * np.abs(multipliers)
        fits = (
            np.isfinite(scales)
            & (scales >= np.finfo(np.float32).tiny)
            & (steps >= np.finfo(np.float32).tiny)
            & (steps <= COARSEST * output_scale)
            & (sums <= _SUMS)
        )
    shaped = multipliers.reshape(-1, *[1] * (integers.ndim - 1))
    multiplied = integers.astype(np.int64) * shaped
    if not fits.all() or multiplied.min() < _INTEGERS[0] or multiplied.max() > _INTEGERS[1]:
        return None
    return Folded(multipliers.astype(np.int32), scales, biases.astype(np.int32), steps)
