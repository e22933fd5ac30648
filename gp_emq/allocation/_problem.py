"""An allocation as an exact problem: what may be chosen, how it scores, what limits it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from numpy.typing import ArrayLike

from gp_emq.allocation._costs import Budget, Costs
from gp_emq.allocation._labels import check_labels, labelled
from gp_emq.allocation._ranks import check_ranks, falls, is_constant, rows_to_choose
from gp_emq.allocation._solver import NODE_LIMIT, maximise, within
from gp_emq.allocation._space import Configuration, Space
from gp_emq.errors import AllocationError, InfeasibleError
from gp_emq.proxies._table import check_shape, table_values

_LARGEST = 1e300
"""Scores beyond it would overflow in sums."""


@dataclass(frozen=True)
class Choice:
    """The best configuration.

    Attributes:
        configuration: One width per entry.
        gap: Upper bound of what a better one could still add to the score.
    """

    configuration: Configuration
    gap: float


@dataclass(frozen=True)
class Problem:
    """What may be chosen, how it scores, and what limits it.

    Attributes:
        space: What may be chosen.
        scores: By entry and width; 0 where the width is none of the table's.
        budgets: The limits.
        provenance: What the table says of itself: proxy, formula, statistics.
    """

    space: Space
    scores: Costs
    budgets: tuple[Budget, ...]
    provenance: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: ArrayLike, space: Space, budgets: Sequence[Budget]) -> "Problem":
        """Make the problem of a table.

        Args:
            table: float64 (entries, bits), higher sums are better; where a width may not be
                taken it may hold anything.
            space: What may be chosen.
            budgets: The limits.

        Raises:
            AllocationError: The table has another shape, is of other layers or widths, is not
                finite where it counts, or cannot rank.
        """
        known = labelled(table)
        if known is not None:
            check_labels(known, space.layers, space.bits)
        provenance = {} if known is None else known.provenance
        name = provenance.get("proxy")
        called = f"the table of {name}" if name else "the table"
        values, widths = table_values(table), space.bits
        check_shape(values, space.layers, widths)
        scores: dict[tuple[int, int], float] = {}
        for entry, allowed in enumerate(space.widths):
            for width in allowed:
                score = float(values[entry, widths.index(width)]) if width in widths else 0.0
                if not abs(score) < _LARGEST:
                    where = f"{space.entry_names[entry]} at {width} bits"
                    raise AllocationError(f"{called} {_cannot_plan(score, where)}")
                scores[entry, width] = score
        check_ranks(space, scores, called)
        for entry, row in rows_to_choose(space, scores).items():
            if is_constant(row):  # rounding must not decide
                scores |= {(entry, width): row[0] for width in space.widths[entry]}
        return cls(space, scores, tuple(budgets), provenance)

    @classmethod
    def without_scores(cls, space: Space, budgets: Sequence[Budget]) -> "Problem":
        """Make a problem that only has budgets: what keeps them, and what else would be chosen."""
        scores = {(entry, width): 0.0 for entry, ws in enumerate(space.widths) for width in ws}
        return cls(space, scores, tuple(budgets))

    def score(self, configuration: Configuration) -> float:
        """Score of a configuration."""
        return math.fsum(self.scores[entry, width] for entry, width in enumerate(configuration))

    def fits(self, configuration: Configuration) -> bool:
        """Say whether a configuration keeps all budgets."""
        return all(within(budget.total(configuration), budget.limit) for budget in self.budgets)

    def with_budgets(self, budgets: Sequence[Budget]) -> "Problem":
        """Give the same problem with other limits."""
        return replace(self, budgets=tuple(budgets))

    def best(self, nodes: int = NODE_LIMIT) -> Choice | None:
        """Find the configuration with the highest score; None if none keeps the budgets.

        Args:
            nodes: Most nodes of the branch and bound.
        """
        widths = self.space.widths
        optimum = maximise(
            self._by_group(self.scores),
            [self._by_group(budget.costs) for budget in self.budgets],
            [budget.limit for budget in self.budgets],
            nodes=nodes,
        )
        if optimum is None:
            return None
        configuration = tuple(widths[entry][option] for entry, option in enumerate(optimum.choices))
        if not self.fits(configuration):
            raise AllocationError("the integer program gave a configuration over its budget")
        return Choice(configuration, optimum.gap)

    def least(self, budget: Budget) -> float | None:
        """Least total of a budget's costs within all the other budgets; None if none is."""
        others = [other for other in self.budgets if other is not budget]
        negated = {key: -cost for key, cost in budget.costs.items()}
        choice = replace(self, scores=negated, budgets=tuple(others)).best()
        return None if choice is None else budget.total(choice.configuration)

    def not_rising(self) -> tuple[str, ...]:
        """First layers of the entries whose score falls somewhere as bits rise."""
        names = self.space.entry_names
        return tuple(
            names[entry]
            for entry, row in rows_to_choose(self.space, self.scores).items()
            if any(falls(low, high) for low, high in pairwise(row))
        )

    def constant(self) -> tuple[str, ...]:
        """First layers of the entries whose score is the same at every width that they may take.

        They take the cheapest one.
        """
        names = self.space.entry_names
        rows = rows_to_choose(self.space, self.scores)
        return tuple(names[entry] for entry, row in rows.items() if is_constant(row))

    def _by_group(self, values: Costs) -> list[list[float]]:
        return [
            [values[entry, width] for width in allowed]
            for entry, allowed in enumerate(self.space.widths)
        ]


def infeasible(problem: Problem) -> InfeasibleError:
    """Say which budgets cannot be met, and the nearest values that can.

    Args:
        problem: One that has no solution.
    """
    alone = {
        index: problem.with_budgets([budget]).least(budget)
        for index, budget in enumerate(problem.budgets)
    }
    missed = [
        (budget, least)
        for budget, least in zip(problem.budgets, alone.values(), strict=True)
        if least is not None and not within(least, budget.limit)
    ]
    if missed:
        parts = [
            f"{_limit(budget, budget.limit)} cannot be met: the least possible is "
            f"{_upwards(least)}{_unit(budget)}"
            for budget, least in missed
        ]
        return InfeasibleError("; ".join(parts))
    limits = " and ".join(_limit(budget, budget.limit) for budget in problem.budgets)
    nearest = [
        f"{budget.name} needs at least {_upwards(least)}{_unit(budget)}"
        for budget in problem.budgets
        if (least := problem.least(budget)) is not None
    ]
    within_others = "; within the others, " + ", or ".join(nearest) if nearest else ""
    return InfeasibleError(f"{limits} can be met each, but not together{within_others}")


def _limit(budget: Budget, value: float) -> str:
    return f"a budget of {value:.10g}{_unit(budget)} for {budget.name}"


def _unit(budget: Budget) -> str:
    return f" {budget.unit}" if budget.unit else ""


def _upwards(value: float) -> str:
    """Five significant digits, rounded up, so that the number itself is feasible."""
    if value == 0:
        return "0"
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 4)
    digits = max(0, -round(math.log10(step)))
    return f"{math.ceil(value / step - 1e-7) * step:.{digits}f}"


def _cannot_plan(score: float, where: str) -> str:
    """Say of a score what is wrong with it, and what it may come from."""
    if math.isfinite(score):
        return f"must be below {_LARGEST:g}, and the score of {where} is {score}"
    cause = (
        ", as where quantizing changes no output, in a network that gives the same for every sample"
        if math.isnan(score)
        else ""
    )
    return f"must be finite, and the score of {where} is {score}{cause}; take another proxy"
