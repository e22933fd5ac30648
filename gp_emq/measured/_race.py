"""A race of plans on growing subsets of samples, paired with the best so far."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from gp_emq.allocation import Configuration
from gp_emq.measured._network import PlanNetwork

FloatArray = NDArray[np.float64]

SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of the samples, that the rounds of a race have; after each the better half goes on."""


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its 95 % interval.

    Attributes:
        value: The mean.
        low: Lower end.
        high: Upper end.
        error: Standard error of the mean.
    """

    value: float
    low: float
    high: float
    error: float

    @property
    def errors(self) -> float:
        """How many standard errors it is from 0; 0 where nothing differs."""
        return self.value / self.error if self.error > 0 else 0.0


def paired(after: FloatArray, before: FloatArray) -> Difference:
    """Return the mean of paired differences with Student's interval.

    Args:
        after: (n,).
        before: Of the same samples.
    """
    return mean_of(after - before)


def mean_of(values: FloatArray) -> Difference:
    """Return a mean with Student's 95 % interval.

    Args:
        values: (n,).
    """
    count, mean = len(values), float(values.mean())
    if count < 2:
        return Difference(mean, -math.inf, math.inf, math.inf)
    error = float(values.std(ddof=1)) / math.sqrt(count)
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Difference(mean, mean - reach, mean + reach, error)


def race(
    network: PlanNetwork,
    plans: Sequence[Configuration],
    samples: int,
    shares: Sequence[float] = SHARES,
    progress: Callable[[int, int], None] | None = None,
) -> dict[Configuration, FloatArray]:
    """Measure plans on more and more of the samples, giving half of them up at each step.

    Source: Karnin et al., Almost optimal exploration in multi-armed bandits, 2013 (successive
    halving). Every plan sees the same samples.

    Args:
        network: Measures.
        plans: Those that race.
        samples: How many the race may use.
        shares: Of these, what each round has; rising to 1.
        progress: Told how many measurements of plans of how many are done.

    Returns:
        Losses by plan, as many as it saw; the first plan is the winner, which saw all.
    """
    seen: dict[Configuration, FloatArray] = {}
    left = list(plans)
    rounds = [-(-len(left) // 2**place) for place, _ in enumerate(shares)]
    done = 0
    for share in shares:
        stop = min(samples, network.whole(math.ceil(share * samples)))
        for plan in left:
            seen[plan] = network.answers(plan, stop).losses
            done += 1
            if progress is not None:
                progress(done, sum(rounds))
        left.sort(key=lambda plan: _mean(seen[plan]))
        if share < 1:
            left = left[: (len(left) + 1) // 2]
    return {left[0]: seen[left[0]]} | seen


def _mean(losses: FloatArray) -> float:
    """Return a mean; what is no number is worse than any that is one."""
    mean = float(losses.mean())
    return mean if math.isfinite(mean) else math.inf
