"""Which bit configurations a bench measures, and which split each belongs to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import TEST, TRAINING, VALIDATION

TRAINING_SHARE = 0.5
VALIDATION_SHARE = 0.15


def sample_configurations(
    count: int, entries: int, bits: Sequence[int], seed: int | Sequence[int]
) -> NDArray[np.int8]:
    """Draw distinct bit configurations, every width of every entry equally likely.

    Args:
        count: how many.
        entries: bit entries of the network.
        bits: the bit choices.
        seed: of the draw.

    Returns:
        int8 (count, entries), in the order they were drawn.

    Raises:
        BenchError: if there are fewer different ones.
    """
    possible = len(bits) ** entries
    if not 1 <= count <= possible:
        raise BenchError(f"{count} configurations: there are 1 to {possible} different ones")
    generator = np.random.default_rng(seed)
    choices = np.asarray(bits, dtype=np.int8)
    chosen: dict[bytes, NDArray[np.int8]] = {}
    while len(chosen) < count:
        configuration = choices[generator.integers(0, len(choices), entries)]
        chosen.setdefault(configuration.tobytes(), configuration)
    return np.stack(list(chosen.values()))


def split_configurations(count: int, seed: int | Sequence[int]) -> NDArray[np.int8]:
    """Split configurations at random: 50 % training, 15 % validation, 35 % test.

    Args:
        count: number of configurations.
        seed: of the draw.

    Returns:
        int8 (count,) of 0 training, 1 validation, 2 test.
    """
    split = np.full(count, TEST, dtype=np.int8)
    order = np.random.default_rng(seed).permutation(count)
    training = round(count * TRAINING_SHARE)
    validation = round(count * VALIDATION_SHARE)
    split[order[:training]] = TRAINING
    split[order[training : training + validation]] = VALIDATION
    return split
