"""Measure and repair: a better plan than the table's, by measuring few of the plans that may be."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation import Configuration, Problem
from gp_emq.errors import AllocationError
from gp_emq.measured._candidates import candidates
from gp_emq.measured._model import EffectModel, Measurement
from gp_emq.measured._network import PlanNetwork
from gp_emq.measured._race import Difference, mean_of, paired, race

FloatArray = NDArray[np.float64]

RACERS = 16
"""Plans in a race; it costs about a third as many measurements."""
BETTER = 1.0
"""Standard errors by which a paired difference must be below 0 for the better plan to count."""
LEAST = 32
"""Samples that measuring needs at least: half to search on, half to confirm on."""


@dataclass(frozen=True)
class SearchSettings:
    """How long a search measures.

    Attributes:
        measurements: How many plans' worth of measurements; one that is given up early counts as
            the share of the samples that it saw. None for no limit.
        seconds: How long it may take; None for no limit. What a time limit gives depends on the
            machine.
        seed: Of all draws.

    Raises:
        AllocationError: A limit is missing or not positive.
    """

    measurements: int | None = 100
    seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.measurements is None and self.seconds is None:
            raise AllocationError("a search needs a number of measurements, or seconds")
        if self.measurements is not None and self.measurements < 1:
            raise AllocationError(f"measurements must be at least 1, not {self.measurements}")
        if self.seconds is not None and not self.seconds > 0:
            raise AllocationError(f"seconds must be positive, not {self.seconds}")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        start: The plan it started from.
        best: The plan it ends with: the start, where nothing better was confirmed.
        tried: The best plan on the samples that were searched on, confirmed or not.
        start_loss: Mean loss of the start on the samples that confirm.
        change: Of the tried plan's loss from the start's, on the same, paired.
        plans: How many plans were measured, those that were given up too.
        measurements: How many measurements that took.
        next_best: Other plans that were measured whole, the best first, with their mean loss on
            the samples that were searched on.
        measured: Every plan that was measured, with its difference to the start.
    """

    start: Configuration
    best: Configuration
    tried: Configuration
    start_loss: Difference
    change: Difference
    plans: int
    measurements: float
    next_best: tuple[tuple[Configuration, float], ...]
    measured: tuple[Measurement, ...] = field(repr=False)


def halves(network: PlanNetwork) -> tuple[int, int]:
    """Return how many samples are searched on, from the first, and how many there are.

    Raises:
        AllocationError: There are too few.
    """
    if network.count < LEAST:
        raise AllocationError(
            f"measuring needs at least {LEAST} samples beside those that calibrate, not "
            f"{network.count}: give more, or let fewer calibrate"
        )
    return network.whole(network.count // 2), network.count


def search(
    problem: Problem,
    start: Configuration,
    network: PlanNetwork,
    settings: SearchSettings,
    *,
    known: Sequence[Measurement] = (),
    progress: Callable[[float, float], None] | None = None,
) -> Found:
    """Look for a plan that loses less than the start, within the same budgets.

    Round after round plans are proposed (`candidates`), and race on growing subsets of half of the
    samples (`race`). The winner takes the place of the best so far if its loss is lower by more
    than one standard error of the paired difference. What all plans lost, those that were given up
    too, teaches the model that proposes the next. In the end the best is compared with the start
    on the other half of the samples, by which nothing was chosen, and kept only if it is better
    there by more than one standard error.

    Args:
        problem: What may be chosen, within which budgets, and what the table says.
        start: A plan within the budgets.
        network: Measures.
        settings: How long.
        known: Measurements of other plans on the samples that are searched on, with differences
            to the same start.
        progress: Told after every race.

    Raises:
        AllocationError: There are too few samples.
    """
    begun = time.monotonic()
    searched = halves(network)[0]
    generator = np.random.default_rng((settings.seed, 4))
    before = start_losses(network, start, searched)
    model = EffectModel(problem, start, float(before.mean()))
    measured, whole = list(known), {start: before}
    seen, best, done = {start, *(item.configuration for item in known)}, start, 1.0
    while not _is_over(settings, done, begun):
        racers = candidates(
            model, model.fitted(measured), best,
            count=_racers(settings, done), known=seen, generator=generator,
        )  # fmt: skip
        if not racers:
            break
        results = race(network, racers, searched)
        seen.update(racers)
        for plan, losses in results.items():
            done += len(losses) / searched
            change = paired(losses, before[: len(losses)])
            if math.isfinite(change.error):
                measured.append(Measurement(plan, change.value, change.error**2))
            if len(losses) == searched:
                whole[plan] = losses
        winner = next(iter(results))
        if paired(whole[winner], whole[best]).errors < -BETTER:
            best = winner
        if progress is not None:
            progress(done, float(1 - whole[best].mean() / before.mean()))
    return _confirmed(
        network, whole, (start, best),
        measured=measured, plans_measured=len(seen), done=done,
    )  # fmt: skip


def _racers(settings: SearchSettings, done: float) -> int:
    """Return how many plans a race may have, so that it ends within the measurements."""
    if settings.measurements is None:
        return RACERS
    left = settings.measurements - done
    return max(1, min(RACERS, math.floor(3 * left)))


def _is_over(settings: SearchSettings, done: float, begun: float) -> bool:
    if settings.measurements is not None and settings.measurements - done < 1:
        return True
    return settings.seconds is not None and time.monotonic() - begun >= settings.seconds


def _confirmed(
    network: PlanNetwork,
    whole: dict[Configuration, FloatArray],
    plans: tuple[Configuration, Configuration],
    *,
    measured: Sequence[Measurement],
    plans_measured: int,
    done: float,
) -> Found:
    """Compare start and best on the samples that chose nothing."""
    start, tried = plans
    best, change, losses = confirmed(network, start, tried)
    others = sorted((plan for plan in whole if plan != best), key=lambda plan: whole[plan].mean())
    return Found(
        start=start,
        best=best,
        tried=tried,
        start_loss=mean_of(losses[start]),
        change=change,
        plans=plans_measured,
        measurements=done,
        next_best=tuple((plan, float(whole[plan].mean())) for plan in others[:3]),
        measured=tuple(measured),
    )


def start_losses(network: PlanNetwork, start: Configuration, samples: int) -> FloatArray:
    """Measure the plan that others are compared with.

    Raises:
        AllocationError: What it gives is no number.
    """
    losses = network.answers(start, samples).losses
    if not np.isfinite(losses).all():
        raise AllocationError(
            "the table's plan breaks the network, whose outputs are not finite: allow wider bits"
        )
    return losses


def confirmed(
    network: PlanNetwork, start: Configuration, tried: Configuration
) -> tuple[Configuration, Difference, dict[Configuration, FloatArray]]:
    """Compare two plans on the samples by which nothing was chosen.

    Args:
        network: Measures.
        start: The plan that stays unless the other is better.
        tried: The other.

    Returns:
        The plan that is kept, the paired difference of the other from the start, and the losses
        of both.
    """
    searched, count = halves(network)
    losses = {plan: network.answers(plan, count).losses[searched:] for plan in (start, tried)}
    change = paired(losses[tried], losses[start])
    return (tried if change.errors < -BETTER else start), change, losses
