"""What a bit configuration costs: size in bytes and bit operations, as additive tables."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import NetworkError
from gp_emq.networks._granularity import PER_TENSOR, Granularity
from gp_emq.networks._layer import Layer
from gp_emq.networks._names import ACCOUNTINGS

MEBIBYTE = 2**20
_FLOAT_BYTES = 4
_NORM_FLOATS = {"published": 2, "stored": 4}
"""Numbers of each batch-norm channel that an accounting counts."""


def size_table(
    layers: Sequence[Layer],
    bits: Sequence[int],
    accounting: str = "published",
    *,
    granularity: Granularity = PER_TENSOR,
    symmetric: bool = True,
) -> NDArray[np.float64]:
    """Return what each entry adds to the size at each width.

    `published` is the accounting of MQ-Bench-101: weights, biases and two parameters per
    batch-norm channel, all at the layer's bits. `stored` is what a packed file really takes:
    weights packed layer by layer into whole bytes, float32 scales, 8-bit zero points where
    the grid is asymmetric, float32 biases, and four float32 per batch-norm channel.

    Args:
        layers: the layers of a network in forward order.
        bits: the bit choices.
        accounting: one of `ACCOUNTINGS`.
        granularity: for `stored`, what of a weight shares a scale.
        symmetric: for `stored`, no zero points.

    Returns:
        Bytes, float64 (entries, bits); a configuration's size is the sum over entries.

    Raises:
        NetworkError: if the accounting is unknown.
    """
    norm_floats = _norm_floats(accounting)

    def cost(layer: Layer, width: int) -> float:
        if accounting == "published":
            return (layer.parameters + norm_floats * layer.batch_norm_channels) * width / 8
        weights = layer.own_weights
        scales = granularity.scales(layer.weight_shape) if weights else 0
        floats = layer.parameters - weights + norm_floats * layer.batch_norm_channels
        grids = scales * (_FLOAT_BYTES if symmetric else _FLOAT_BYTES + 1)
        return math.ceil(weights * width / 8) + grids + _FLOAT_BYTES * floats

    return _table(layers, [[cost(layer, width) for width in bits] for layer in layers])


def float_sizes(layers: Sequence[Layer], accounting: str = "published") -> NDArray[np.float64]:
    """Return what each entry adds to the size where it stays in float.

    Args:
        layers: the layers of a network in forward order.
        accounting: one of `ACCOUNTINGS`; it says how many numbers a batch-norm channel has.

    Returns:
        Bytes, float64 (entries,): four for each number.

    Raises:
        NetworkError: if the accounting is unknown.
    """
    norm_floats = _norm_floats(accounting)
    numbers = [layer.parameters + norm_floats * layer.batch_norm_channels for layer in layers]
    return _table(layers, [[float(_FLOAT_BYTES * count)] for count in numbers])[:, 0]


def bit_operations_table(
    layers: Sequence[Layer], bits: Sequence[int], activation_bits: int = 8
) -> NDArray[np.float64]:
    """Return what each entry adds to the bit operations (BOPs) of one image at each width.

    Args:
        layers: the layers of a network in forward order.
        bits: the bit choices.
        activation_bits: of every layer's input.

    Returns:
        Multiply-accumulates times weight bits times activation bits, float64 (entries, bits).
    """
    costs = [[float(layer.macs * width * activation_bits) for width in bits] for layer in layers]
    return _table(layers, costs)


def total_cost(
    table: NDArray[np.float64], bits: Sequence[int], configurations: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Sum a table over the entries of bit configurations.

    Args:
        table: float64 (entries, bits).
        bits: the ascending bit choices that its columns stand for.
        configurations: int8 (n, entries).

    Returns:
        float64 (n,).
    """
    columns = np.searchsorted(np.asarray(bits), configurations)
    total: NDArray[np.float64] = table[np.arange(len(table)), columns].sum(axis=1)
    return total


def _norm_floats(accounting: str) -> int:
    if accounting not in ACCOUNTINGS:
        raise NetworkError(f"unknown accounting {accounting!r}: known are {', '.join(ACCOUNTINGS)}")
    return _NORM_FLOATS[accounting]


def _table(layers: Sequence[Layer], costs: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    entries = 1 + max(layer.entry for layer in layers)
    table = np.zeros((entries, len(costs[0])))
    for layer, row in zip(layers, costs, strict=True):
        table[layer.entry] += row
    return table
