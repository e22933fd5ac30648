"""Plans that are worth a measurement: near optima by what is known, and swaps at equal budget."""

import numpy as np

from gp_emq.allocation import Configuration, Problem
from gp_emq.measured._model import NODES, EffectModel, Effects

SWAPS = 0.25
"""Share of the candidates that are neighbours of the best plan so far."""
_TRIES = 40
_MOST_PAIRS = 2


def candidates(
    model: EffectModel,
    effects: Effects,
    best: Configuration,
    *,
    count: int,
    known: set[Configuration],
    generator: np.random.Generator,
) -> list[Configuration]:
    """Propose plans that were not measured yet, the likeliest first.

    The first is the optimum by what is known. Others are the integer program's optima for effects
    drawn from what they may be, so that a plan comes up about as often as it may be the best; the
    rest are swaps of the best plan so far.

    Args:
        model: What effects are of.
        effects: What is known of them.
        best: The best plan so far.
        count: How many; there may be fewer.
        known: Those measured already.
        generator: Draws.
    """
    found: dict[Configuration, None] = {}

    def add(configuration: Configuration | None) -> None:
        if configuration is not None and configuration not in known:
            found.setdefault(configuration)

    swaps = max(1, round(SWAPS * count))
    add(_optimum(model.problem_of(effects.mean)))
    for drawn in model.drawn(effects, generator, 2 * count):
        if len(found) >= count - swaps:
            break
        add(_optimum(model.problem_of(drawn)))
    for _ in range(_TRIES):
        if len(found) >= count:
            break
        add(swapped(model.problem, best, generator))
    return list(found)


def swapped(
    problem: Problem, configuration: Configuration, generator: np.random.Generator
) -> Configuration | None:
    """Make one or two entries a step wider and as many a step narrower, within the budgets.

    What room is left then is filled by single steps, in random order.

    Args:
        problem: Whose budgets hold.
        configuration: The plan.
        generator: Draws.

    Returns:
        The neighbour; None where the draw gave none within the budgets.
    """
    widths = problem.space.widths
    places = [allowed.index(width) for allowed, width in zip(widths, configuration, strict=True)]
    pairs = 1 + int(generator.integers(_MOST_PAIRS))
    order = generator.permutation(len(places)).tolist()
    wider = [entry for entry in order if places[entry] < len(widths[entry]) - 1][:pairs]
    narrower = [entry for entry in order if places[entry] > 0 and entry not in wider][:pairs]
    for entry in wider:
        places[entry] += 1
    for entry in narrower:
        places[entry] -= 1
    if not problem.fits(_taken(problem, places)):
        return None
    return _filled(problem, places, generator)


def _filled(problem: Problem, places: list[int], generator: np.random.Generator) -> Configuration:
    for entry in generator.permutation(len(places)).tolist():
        while places[entry] < len(problem.space.widths[entry]) - 1:
            places[entry] += 1
            if not problem.fits(_taken(problem, places)):
                places[entry] -= 1
                break
    return _taken(problem, places)


def _taken(problem: Problem, places: list[int]) -> Configuration:
    return tuple(
        allowed[place] for allowed, place in zip(problem.space.widths, places, strict=True)
    )


def _optimum(problem: Problem) -> Configuration | None:
    choice = problem.best(NODES)
    return None if choice is None else choice.configuration
