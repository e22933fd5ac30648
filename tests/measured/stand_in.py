"""A network whose losses are known: a sum over entries, and noise that plans have in common."""

from dataclasses import dataclass, field

import numpy as np

from gp_emq.allocation import Configuration, CostSettings, Problem, make_budgets, search_space
from gp_emq.measured._samples import Answers
from gp_emq.networks import Layer

BITS = (2, 3, 4)
BATCH = 8


def problem_of(table: np.ndarray, average_bits: float = 3.0) -> Problem:
    """Layers of equal size, one for each row of a table."""
    layers = tuple(
        Layer(f"l{index}", "Linear", (10, 10), 100, 0, 100, index, index)
        for index in range(len(table))
    )
    space = search_space(layers, BITS)
    return Problem.of(table, space, make_budgets(space, CostSettings(), average_bits=average_bits))


@dataclass
class StandIn:
    """Gives every plan the mean loss that a table of harms says, on noisy samples."""

    harms: np.ndarray
    count: int = 256
    noise: float = 0.1
    own_noise: float = 0.0
    calls: list[tuple[Configuration, int]] = field(default_factory=list)

    def true_loss(self, configuration: Configuration) -> float:
        return sum(
            self.harms[entry, BITS.index(width)] for entry, width in enumerate(configuration)
        )

    def answers(self, configuration: Configuration, stop: int) -> Answers:
        self.calls.append((configuration, stop))
        shared = np.random.default_rng(0).standard_normal(self.count) * self.noise
        own = np.random.default_rng(abs(hash(configuration)) % 2**32)
        losses = (
            self.true_loss(configuration)
            + shared
            + own.standard_normal(self.count) * self.own_noise
        )
        return Answers(losses[:stop], np.ones(stop))

    def whole(self, samples: int) -> int:
        return min(self.count, -(-samples // BATCH) * BATCH)
