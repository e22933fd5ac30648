"""What simpler methods, and known proxies, would choose under the same budgets."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_emq.allocation._measures import Meter
from gp_emq.allocation._plan import Baseline
from gp_emq.allocation._problem import Problem
from gp_emq.allocation._solver import TOLERANCE
from gp_emq.allocation._space import Configuration
from gp_emq.errors import AllocationError

RANDOM_CONFIGURATIONS = 1000


def uniform_configuration(problem: Problem, width: int) -> Configuration:
    """Give every entry one width, or where it may not take it the nearest below, or above.

    Args:
        problem: Says what may be chosen.
        width: The width.
    """
    return tuple(
        max((allowed for allowed in widths if allowed <= width), default=min(widths))
        for widths in problem.space.widths
    )


def uniform_baseline(problem: Problem, meter: Meter) -> Baseline:
    """Find the widest uniform configuration within the budgets."""
    for width in reversed(problem.space.bits):
        configuration = uniform_configuration(problem, width)
        if problem.fits(configuration):
            return baseline_of("uniform", problem, configuration, meter, f"{width} bits")
    return Baseline("uniform", (), None, None, "no uniform width is within the budgets")


def random_baseline(problem: Problem, meter: Meter, seed: int = 0) -> Baseline:
    """Find the best by score of 1,000 random configurations within the budgets.

    A configuration is drawn entry by entry, in random order: each takes a random width of those
    that leave the entries to come their cheapest ones.

    Args:
        problem: The problem.
        meter: Measures the configuration.
        seed: Of the draws.
    """
    drawn = draw_within(problem, RANDOM_CONFIGURATIONS, seed)
    fitting = [configuration for configuration in drawn if problem.fits(configuration)]
    if not fitting:
        return Baseline("random", (), None, None, "no random configuration is within the budgets")
    best = max(fitting, key=problem.score)
    return baseline_of("random", problem, best, meter, f"best of {len(fitting):,} by the proxy")


def draw_within(problem: Problem, count: int, seed: int) -> list[Configuration]:
    """Draw random configurations that mostly keep the budgets; see `random_baseline`.

    Args:
        problem: The problem.
        count: How many.
        seed: Of the draws.

    Raises:
        AllocationError: The seed is negative.
    """
    if seed < 0:
        raise AllocationError(f"seed must be at least 0, not {seed}")
    rng = np.random.default_rng(seed)
    allowed = problem.space.widths
    entries, most = len(allowed), max(map(len, allowed))
    above, slack = _above_cheapest(problem, most)
    left = np.repeat(slack[:, None], count, axis=1)
    order = rng.permuted(np.tile(np.arange(entries), (count, 1)), axis=1)
    options = np.array([[place < len(widths) for place in range(most)] for widths in allowed])
    picked = np.zeros((count, entries), dtype=np.int64)
    for entry in order.T:
        fits = options[entry] & (above[:, entry] <= left[..., None]).all(axis=0)
        draws = np.where(fits, rng.random((count, most)), -1.0)
        option = draws.argmax(axis=1)
        picked[np.arange(count), entry] = option
        left -= above[:, entry, option]
    return [
        tuple(widths[option] for widths, option in zip(allowed, row, strict=True))
        for row in picked.tolist()
    ]


def proxy_baseline(name: str, table: ArrayLike, problem: Problem, meter: Meter) -> Baseline:
    """Find the optimum by another proxy.

    Args:
        name: Of the proxy.
        table: Its scores, (entries, bits).
        problem: The problem; its own scores measure the result.
        meter: Measures the configuration.
    """
    try:
        choice = Problem.of(table, problem.space, problem.budgets).best()
    except AllocationError as error:
        return Baseline(name, (), None, None, str(error))
    if choice is None:
        return Baseline(name, (), None, None, "no configuration is within the budgets")
    return baseline_of(name, problem, choice.configuration, meter)


def baseline_of(
    name: str, problem: Problem, configuration: Configuration, meter: Meter, note: str = ""
) -> Baseline:
    """Write a configuration out as a baseline."""
    return Baseline(
        name,
        tuple(configuration[layer.entry] for layer in problem.space.layers),
        problem.score(configuration),
        meter.measure(configuration),
        note,
    )


def _above_cheapest(problem: Problem, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Costs above the cheapest option, (budgets, entries, options), and what is left for them."""
    allowed = problem.space.widths
    above = np.zeros((len(problem.budgets), len(allowed), most))
    slack = np.zeros(len(problem.budgets))
    for place, budget in enumerate(problem.budgets):
        slack[place] = budget.limit * (1 + TOLERANCE)
        for entry, widths in enumerate(allowed):
            costs = [budget.costs[entry, width] for width in widths]
            above[place, entry, : len(costs)] = np.subtract(costs, min(costs))
            slack[place] -= min(costs)
    return above, slack
