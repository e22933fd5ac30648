"""Scores of bit configurations from sensitivity tables."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def configuration_scores(tables: FloatArray, choices: NDArray[np.intp]) -> FloatArray:
    """Score bit configurations: a gather and a sum over entries.

    Entries are added one after the other, so that a score does not depend on how many tables are
    scored side by side.

    Args:
        tables: Sensitivity tables, (..., entries, bits).
        choices: For each configuration the index of each entry's width among the bit choices,
            (n, entries).

    Returns:
        ``Σ_e tables[..., e, choices[:, e]]``, float64 (..., n).
    """
    scores = np.zeros((*tables.shape[:-2], len(choices)))
    for entry in range(tables.shape[-2]):
        scores += tables[..., entry, :][..., choices[:, entry]]
    return scores
