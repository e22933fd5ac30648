"""What pairs of entries lose beyond the sum of both, measured around a plan, where it pays."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation import Configuration, Problem, best_with_pairs
from gp_emq.correlation import Figure, resampled_taus
from gp_emq.errors import AllocationError
from gp_emq.measured._calibration import random_plans, tau_of
from gp_emq.measured._names import LEAST_PLANS, NEIGHBOURS
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._race import Difference, paired
from gp_emq.measured._search import BETTER, confirmed, halves, start_losses

FloatArray = NDArray[np.float64]
Pairs = Mapping[tuple[int, int], FloatArray]

HELD_OUT = 16
"""Random plans that say whether pairs help."""


@dataclass(frozen=True)
class Interacting:
    """A table corrected around a plan, with pairs where these help.

    Attributes:
        start: The plan that everything was measured around.
        tried: The plan of the corrected table.
        best: The one of both that is kept: the corrected table's if it loses less on samples that
            taught nothing, by more than one standard error.
        change: Of the corrected table's plan from the start there, paired.
        measured: How many plans were measured, those that say whether pairs help among them.
        pairs: How many pairs of entries there are terms for.
        tau: Kendall's tau with the measured losses of random plans that taught nothing, by single
            entries and pairs; with a bootstrap interval.
        single_tau: The same by single entries alone.
        used: Whether the pairs were used: the first tau is higher by more than one standard error.
    """

    start: Configuration
    tried: Configuration
    best: Configuration
    change: Difference
    measured: int
    pairs: int
    tau: Figure
    single_tau: Figure
    used: bool


def interact(
    problem: Problem,
    start: Configuration,
    network: PlanNetwork,
    *,
    reach: str,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Interacting:
    """Measure all swaps of one entry and of two around a plan, and plan by both where that helps.

    What two entries lose beyond the sum of both is a term of its own, as in CLADO (Deng et al.,
    Mixed-precision quantization with cross-layer dependencies, 2023), but measured around the plan
    and not around the float network, with the recipe that will quantize. Terms are used only if
    they raise the rank of random plans that none of them was made by, by more than one standard
    error of the difference (bootstrap).

    Args:
        problem: What may be chosen, within which budgets, and what the table says.
        start: A plan within the budgets.
        network: Measures, on the samples that a search would search on.
        reach: Which pairs: those of `NEIGHBOURS` in forward order, or `ALL_PAIRS`.
        seed: Of the random plans.
        progress: Told how many plans of how many are measured.

    Raises:
        AllocationError: There are too few plans or samples.
    """
    searched, _ = halves(network)
    chosen = _pairs_of(problem, start, reach)
    singles = [swap for entry in range(len(start)) for swap in _swaps(problem, start, (entry,))]
    doubles = [swap for pair in chosen for swap in _swaps(problem, start, pair)]
    held_out = random_plans(problem, HELD_OUT, known={start, *singles, *doubles}, seed=seed)
    if len(held_out) < LEAST_PLANS:
        raise AllocationError(
            f"pairs need at least {LEAST_PLANS} plans within the budgets that differ from the "
            f"table's in more than two layers, and there are {len(held_out)}"
        )
    before = start_losses(network, start, searched)
    found: dict[Configuration, Difference] = {}
    wanted = [*held_out, *singles, *doubles]
    for done, plan in enumerate(wanted, start=1):
        found[plan] = paired(network.answers(plan, searched).losses, before)
        if progress is not None:
            progress(done, len(wanted))
    values = _finite(found)
    alone, pairs = _alone(problem, start, values), _terms(problem, start, chosen, values)
    harms = np.array([-alone.score(plan) for plan in held_out])
    together = harms + [_harm(problem, pairs, plan) for plan in held_out]
    losses = np.array([values[plan] for plan in held_out])
    tau, single_tau = tau_of(together, losses), tau_of(harms, losses)
    used = _rises(together, harms, losses)
    choice = (
        best_with_pairs(alone, {pair: -table for pair, table in pairs.items()})
        if used
        else alone.best()
    )
    tried = start if choice is None else choice.configuration
    best, change, _ = confirmed(network, start, tried)
    return Interacting(
        start=start,
        tried=tried,
        best=best,
        change=change,
        measured=len(wanted),
        pairs=len(pairs),
        tau=tau,
        single_tau=single_tau,
        used=used,
    )


def _rises(together: FloatArray, alone: FloatArray, losses: FloatArray) -> bool:
    """Say whether pairs raise tau beyond chance."""
    gains = resampled_taus(together, losses) - resampled_taus(alone, losses)
    known = gains[np.isfinite(gains)]
    return bool(known.size and known.mean() > BETTER * known.std())


def _pairs_of(problem: Problem, start: Configuration, reach: str) -> list[tuple[int, int]]:
    """Pairs of entries that may both be swapped."""
    free = [entry for entry in range(len(start)) if len(problem.space.widths[entry]) > 1]
    pairs = itertools.pairwise(free) if reach == NEIGHBOURS else itertools.combinations(free, 2)
    return list(pairs)


def _swaps(problem: Problem, start: Configuration, entries: Sequence[int]) -> list[Configuration]:
    """All plans that have other widths than the start in just these entries."""
    others = [
        [width for width in problem.space.widths[entry] if width != start[entry]]
        for entry in entries
    ]
    return [
        _with(start, dict(zip(entries, widths, strict=True)))
        for widths in itertools.product(*others)
    ]


def _with(start: Configuration, changes: Mapping[int, int]) -> Configuration:
    return tuple(changes.get(entry, width) for entry, width in enumerate(start))


def _finite(found: Mapping[Configuration, Difference]) -> dict[Configuration, float]:
    """Give each plan its difference; one that breaks the network has the greatest of the others."""
    finite = [change.value for change in found.values() if math.isfinite(change.error)]
    if len(finite) < LEAST_PLANS:
        raise AllocationError("most plans break the network, whose outputs are not finite")
    most = max(finite)
    return {
        plan: change.value if math.isfinite(change.error) else most
        for plan, change in found.items()
    }


def _alone(
    problem: Problem, start: Configuration, values: Mapping[Configuration, float]
) -> Problem:
    """Score each width by what the start loses less with it than without."""
    scores = {
        (entry, width): -values.get(_with(start, {entry: width}), 0.0)
        for entry, widths in enumerate(problem.space.widths)
        for width in widths
    }
    return replace(problem, scores=scores)


def _terms(
    problem: Problem,
    start: Configuration,
    pairs: Sequence[tuple[int, int]],
    values: Mapping[Configuration, float],
) -> dict[tuple[int, int], FloatArray]:
    """Give what both lose beyond the sum, by pair: (widths, widths), 0 where one is the start's."""
    terms = {}
    for one, other in pairs:
        rows, columns = problem.space.widths[one], problem.space.widths[other]
        table = np.zeros((len(rows), len(columns)))
        for row, column in np.ndindex(table.shape):
            first, second = rows[row], columns[column]
            if first != start[one] and second != start[other]:
                both = values[_with(start, {one: first, other: second})]
                alone = values[_with(start, {one: first})] + values[_with(start, {other: second})]
                table[row, column] = both - alone
        terms[one, other] = table
    return terms


def _harm(problem: Problem, pairs: Pairs, plan: Configuration) -> float:
    """Add up the terms of a plan."""
    places = [row.index(width) for row, width in zip(problem.space.widths, plan, strict=True)]
    return math.fsum(
        float(table[places[one], places[other]]) for (one, other), table in pairs.items()
    )
