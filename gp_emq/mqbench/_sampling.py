"""Which bit configurations a bench measures, and which split each belongs to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import TEST, TRAINING, VALIDATION
from gp_emq.mqbench._selection import Chosen, Selection

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


def random_selection(
    count: int, entries: int, bits: Sequence[int], seed: int | Sequence[int]
) -> Selection:
    """Select configurations at random; the arguments are those of `sample_configurations`."""
    return Selection(sample_configurations(count, entries, bits, seed), (Chosen(),) * count)


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


def split_together(
    families: NDArray[np.intp], strata: Sequence[str], seed: int | Sequence[int]
) -> NDArray[np.int8]:
    """Split configurations as `split_configurations` does, but no family apart.

    One stratum after the other, in the order of `strata`, its families come in random order, and
    each goes to the part that lacks most of its share so far. So every stratum is split about
    alike, and with single configurations at the end the whole exactly.

    Args:
        families: which configurations belong together, (n,).
        strata: what each configuration is, (n,); a family counts as what its first member is.
        seed: of the order.

    Returns:
        int8 (n,) of 0 training, 1 validation, 2 test.
    """
    shares = np.array([TRAINING_SHARE, VALIDATION_SHARE, 1 - TRAINING_SHARE - VALIDATION_SHARE])
    split = np.empty(len(families), dtype=np.int8)
    generator = np.random.default_rng(seed)
    heads, sizes = np.unique(families, return_counts=True)
    size_of = dict(zip(heads.tolist(), sizes.tolist(), strict=True))
    placed = np.zeros(3)
    for stratum in dict.fromkeys(strata):
        own = np.array([head for head in heads if strata[head] == stratum], dtype=np.intp)
        for head in generator.permutation(own):
            size = size_of[int(head)]
            part = int(np.argmax(shares * (placed.sum() + size) - placed))
            split[families == head] = part
            placed[part] += size
    return split
