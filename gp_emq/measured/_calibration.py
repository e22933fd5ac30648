"""A table corrected by a handful of measured plans."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation import Configuration, Problem, draw_within
from gp_emq.correlation import Figure, bootstrap_interval, kendall_tau
from gp_emq.errors import AllocationError
from gp_emq.measured._model import NODES, EffectModel, Measurement
from gp_emq.measured._names import LEAST_PLANS
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._race import Difference, paired
from gp_emq.measured._search import confirmed, halves, start_losses

FloatArray = NDArray[np.float64]

_SPREAD = 1.0
"""Of the natural logarithm of the factors that entries' scores are drawn with."""
_TRIES = 10


@dataclass(frozen=True)
class Calibrated:
    """A table that was corrected.

    Attributes:
        problem: With the corrected scores.
        start: The plan of the table as it was.
        tried: That of the corrected table.
        best: The one of both that is kept: the corrected table's if it loses less on samples that
            taught nothing, by more than one standard error.
        change: Of the corrected table's plan from the other there, paired.
        measured: The plans that were measured, with their differences to the start's loss.
        tau: Kendall's tau of the corrected table with the measured losses, each plan predicted
            from all the others; with a bootstrap interval.
        table_tau: That of the table as it was, of the same plans.
    """

    problem: Problem
    start: Configuration
    tried: Configuration
    best: Configuration
    change: Difference
    measured: tuple[Measurement, ...]
    tau: Figure
    table_tau: Figure


def calibrate(
    problem: Problem,
    start: Configuration,
    network: PlanNetwork,
    *,
    plans: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Measure random plans within the budgets, and correct the table by what they lose.

    They are the integer program's for the table with a random factor for each entry: plans of a
    kind that a better table might choose. Plans drawn evenly lose so much more that they mislead.

    Args:
        problem: What may be chosen, and the table.
        start: Its plan.
        network: Measures, on the samples that a search would search on.
        plans: How many to measure beside the start.
        seed: Of the draws.
        progress: Told how many plans of how many are measured.

    Raises:
        AllocationError: There are too few plans or samples.
    """
    if plans < LEAST_PLANS:
        raise AllocationError(f"calibrating needs at least {LEAST_PLANS} plans, not {plans}")
    searched, _ = halves(network)
    drawn = random_plans(problem, plans, known={start}, seed=seed)
    if len(drawn) < LEAST_PLANS:
        raise AllocationError(
            f"calibrating needs at least {LEAST_PLANS} different plans within the budgets beside "
            f"the best, and there are {len(drawn)}"
        )
    before = start_losses(network, start, searched)
    model = EffectModel(problem, start, float(before.mean()))
    measured = []
    for done, plan in enumerate(drawn, start=1):
        change = paired(network.answers(plan, searched).losses, before)
        if math.isfinite(change.error):
            measured.append(Measurement(plan, change.value, change.error**2))
        if progress is not None:
            progress(done, len(drawn))
    if len(measured) < LEAST_PLANS:
        raise AllocationError("most plans break the network, whose outputs are not finite")
    effects = model.fitted(measured)
    losses = np.array([item.difference for item in measured])
    corrected = _with_scores(model.problem_of(effects.mean))
    choice = corrected.best()
    tried = start if choice is None else choice.configuration
    best, change, _ = confirmed(network, start, tried)
    return Calibrated(
        problem=corrected,
        start=start,
        tried=tried,
        best=best,
        change=change,
        measured=tuple(measured),
        tau=tau_of(model.left_out(measured, effects), losses),
        table_tau=tau_of(
            np.array([-problem.score(item.configuration) for item in measured]), losses
        ),
    )


def random_plans(
    problem: Problem, count: int, *, known: set[Configuration], seed: int
) -> list[Configuration]:
    """Draw different plans within the budgets: optima of tables with random factors.

    Where these give too few, plans that are drawn evenly make up the number.

    Args:
        problem: What may be chosen, and the table.
        count: How many; there may be fewer.
        known: Plans to leave out.
        seed: Of the draws.
    """
    generator = np.random.default_rng((seed, 5))
    found: dict[Configuration, None] = {}
    entries = len(problem.space.widths)
    for _ in range(_TRIES * count):
        factors = np.exp(_SPREAD * generator.standard_normal(entries))
        scores = {
            (entry, width): score * float(factors[entry])
            for (entry, width), score in problem.scores.items()
        }
        choice = replace(problem, scores=scores).best(NODES)
        if choice is not None and choice.configuration not in known:
            found.setdefault(choice.configuration)
        if len(found) >= count:
            break
    for plan in draw_within(problem, _TRIES * count, seed):
        if len(found) < count and plan not in known and problem.fits(plan):
            found.setdefault(plan)
    return list(found)


def _with_scores(problem: Problem) -> Problem:
    """Say in the provenance that the scores are corrected ones."""
    known = dict(problem.provenance)
    known["proxy"] = f"{known.get('proxy', 'a table')}, calibrated by measurements"
    return replace(problem, provenance=known)


def tau_of(harms: FloatArray, losses: FloatArray) -> Figure:
    """Rank plans by predicted harms: Kendall's tau with what they lose, with an interval.

    Args:
        harms: Predicted, (n,).
        losses: Measured, (n,).
    """
    low, high = bootstrap_interval(harms, losses)
    return Figure(kendall_tau(harms, losses), low, high)
