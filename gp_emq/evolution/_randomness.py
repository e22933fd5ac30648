"""Independent random streams, one for each decision that may be made in any order."""

import random


def stream(*labels: int | str) -> random.Random:
    """Give the random stream of a decision.

    Each proposal draws from a stream of its own, named by the run's seed, the generation, the
    place and the attempt. Results then depend neither on the order of evaluation nor on what an
    interrupted run had already drawn, and there is no generator state to save.

    Args:
        labels: What names the decision; the first is the run's seed.

    Returns:
        A generator seeded by the labels' text (through SHA-512, so not by ``PYTHONHASHSEED``).
    """
    return random.Random("/".join(map(str, labels)))
