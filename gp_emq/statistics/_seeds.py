"""Independent random streams from one seed."""

import numpy as np
import torch
from torch import Tensor

IMAGES, PROBES, EIGENVECTORS, CURVATURE, DIRECTIONS = range(5)
"""Purposes that get a stream each."""


def generator(seed: int, *path: int) -> torch.Generator:
    """Make a generator for one purpose.

    Args:
        seed: The user's seed.
        path: What the stream is for: streams of different paths are independent, also
            between neighbouring seeds.
    """
    state = np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


def rademacher(size: int, stream: torch.Generator) -> Tensor:
    """Draw +1 and −1 with equal probability.

    Args:
        size: Number of elements N.
        stream: Where the random bits come from.

    Returns:
        float32 (N,).
    """
    return torch.randint(0, 2, (size,), generator=stream).to(torch.float32).mul_(2).sub_(1)
