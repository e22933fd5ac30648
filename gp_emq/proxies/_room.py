"""Room for the squares of very small and very large statistics: float64 where float32 has none."""

from collections.abc import Sequence

import torch

from gp_emq.statistics import Kind, Statistics

SMALLEST, LARGEST = 2.0**-50, 2.0**50
"""What the largest number of a layer may be in float32: its square, that of its rounding error, and
sums of many of them are normal numbers."""

_PER_LAYER = {Kind.WEIGHTS, Kind.ACTIVATIONS, Kind.WEIGHTS_PER_BIT, Kind.ACTIVATIONS_PER_BIT}


def with_room_for_squares(statistics: Statistics, names: Sequence[str]) -> Statistics:
    """Return the statistics, cast to float64 where a layer's are very small or very large.

    Args:
        statistics: Of a network.
        names: Those that a formula is computed from.
    """
    for name in names:
        if statistics.kind_of(name) in _PER_LAYER:
            for largest in statistics.magnitudes(name):
                if largest and not SMALLEST <= largest <= LARGEST:
                    return statistics.to(torch.float64)
    return statistics
