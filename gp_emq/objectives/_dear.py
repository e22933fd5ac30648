"""Objectives that cost much to measure: cheap ones first, dear ones for formulas that may win."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gp_emq.evolution import FloatArray, Measurement, Objective, Tables


@runtime_checkable
class DearObjective(Objective, Protocol):
    """An objective of which a part is cheap, and the other, what is dear, takes long.

    What it costs is declared, and does not depend on the clock, so that the same formulas are
    measured everywhere.
    """

    cost: float

    def ranked(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Give the cheap part of each formula."""

    def bound(self, ranked: Measurement, most: float) -> float:
        """Say what a formula comes to at most in training, if its dear part comes to so much."""

    def dear(self, ranked: Measurement, tables: Tables) -> FloatArray:
        """Measure the dear part of a formula; its mean counts."""

    def together(
        self, ranked: Measurement, tables: Tables, dear: FloatArray | None, *, validated: bool
    ) -> Measurement:
        """Put the parts together.

        Args:
            ranked: The cheap part.
            tables: Of the formula.
            dear: The dear part; None where it was not measured, and counts as nothing.
            validated: Whether the validation side is measured, too.
        """


def measure_above(
    objectives: Sequence[Objective],
    formulas: Sequence[Sequence[Tables]],
    bars: Sequence[float],
    most: Sequence[float],
) -> list[list[Measurement]]:
    """Measure formulas by several objectives, each as long as its mean may come to a bar.

    Cheap parts are measured of all, then dear ones in the order of their cost. Where the mean would
    stay below the bar even if all that is left came to the most there is, nothing more is measured.

    Args:
        objectives: What the mean is of.
        formulas: Of each formula the tables of each objective.
        bars: What each formula has to come to.
        most: What the dear part of each dear objective comes to at most, in their order.

    Returns:
        Of each formula what each objective made of it.
    """
    first = [
        one.ranked(own) if isinstance(one, DearObjective) else one.measure(own)
        for one, own in zip(objectives, _turned(formulas, len(objectives)), strict=True)
    ]
    bounds = dict(zip(_dear_places(objectives), most, strict=True))
    return [
        _of_one(objectives, [own[place] for own in first], formula, bar, bounds)
        for place, (formula, bar) in enumerate(zip(formulas, bars, strict=True))
    ]


def _of_one(
    objectives: Sequence[Objective],
    found: list[Measurement],
    formula: Sequence[Tables],
    bar: float,
    most: dict[int, float],
) -> list[Measurement]:
    waiting = {place: one for place in most if isinstance(one := objectives[place], DearObjective)}
    ranked, measured = list(found), dict[int, FloatArray | None].fromkeys(waiting)
    left = sorted(waiting, key=lambda place: (waiting[place].cost, place))

    def may_win() -> bool:
        bounds = {place: waiting[place].bound(ranked[place], most[place]) for place in left}
        return most_of_mean(found, bounds) >= bar

    def put_together(place: int, *, validated: bool) -> None:
        found[place] = waiting[place].together(
            ranked[place], formula[place], measured[place], validated=validated
        )

    while left and may_win():
        place = left.pop(0)
        measured[place] = waiting[place].dear(ranked[place], formula[place])
        put_together(place, validated=False)
    validated = may_win()
    for place in waiting:
        put_together(place, validated=validated)
    return found


def most_of_mean(found: Sequence[Measurement], bounds: dict[int, float]) -> float:
    """Say what the mean of measurements comes to at most, in either orientation.

    Args:
        found: What is known of each.
        bounds: By place, the most of what is not fully known.
    """
    totals = []
    for sign in (1, -1):
        values = [
            bounds[place] if place in bounds and one.sign == sign
            # Whatever it comes to counts against the other orientation.
            else 0.0 if place in bounds
            else sign * one.sign * one.training
            for place, one in enumerate(found)
        ]  # fmt: skip
        totals.append(sum(values) / len(values))
    return max(totals)


def _dear_places(objectives: Sequence[Objective]) -> list[int]:
    return [place for place, one in enumerate(objectives) if isinstance(one, DearObjective)]


def _turned(formulas: Sequence[Sequence[Tables]], count: int) -> list[list[Tables]]:
    return [[formula[place] for formula in formulas] for place in range(count)]
