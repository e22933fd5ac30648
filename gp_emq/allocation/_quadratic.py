"""The exact core with pairs: the highest sum of options, and of what two options make together.

The product of two options is a variable of its own. With every sum over one of both tied to the
other (Adams and Johnson, Improved linear programming-based lower bounds for the quadratic
assignment problem, 1994), whole options leave the products no freedom, so that the program is
linear and its optimum is that of the quadratic one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation._problem import Choice, Problem
from gp_emq.allocation._solver import Optimum, gap_of, shares_of_slack, solve_program
from gp_emq.errors import AllocationError

if TYPE_CHECKING:  # slow to import
    from scipy import sparse
    from scipy.optimize import OptimizeResult

FloatArray = NDArray[np.float64]
PairScores = Mapping[tuple[int, int], FloatArray]

NODES = 200
"""Of the branch and bound: its programs are far larger than those without pairs."""
_SCALE = 1e4
_MOST_CUTS = 100


def best_with_pairs(problem: Problem, pairs: PairScores, nodes: int = NODES) -> Choice | None:
    """Find the configuration of the highest score, terms for pairs of entries included.

    Args:
        problem: What may be chosen, its scores, and its budgets.
        pairs: Scores to add, by two entries, the lower first: (widths, widths), in the order of
            `Space.widths` of each.
        nodes: Most nodes of the branch and bound.

    Returns:
        It, with what a better one could still gain; None where none keeps the budgets.
    """
    widths = problem.space.widths
    optimum = maximise_pairs(
        [[problem.scores[entry, width] for width in row] for entry, row in enumerate(widths)],
        pairs,
        [
            [[budget.costs[entry, width] for width in row] for entry, row in enumerate(widths)]
            for budget in problem.budgets
        ],
        [budget.limit for budget in problem.budgets],
        nodes=nodes,
    )
    if optimum is None:
        return None
    chosen = tuple(row[option] for row, option in zip(widths, optimum.choices, strict=True))
    return Choice(chosen, optimum.gap)


def maximise_pairs(
    scores: Sequence[Sequence[float]],
    pairs: PairScores,
    costs: Sequence[Sequence[Sequence[float]]],
    limits: Sequence[float],
    *,
    nodes: int = NODES,
) -> Optimum | None:
    """Choose one option per group.

    Args:
        scores: For each group the score of each option, finite.
        pairs: What an option of one group and one of another add, (options, options), by the
            numbers of both groups, the lower first.
        costs: For each limit, for each group, what each option costs; finite.
        limits: Most that the options may cost together.
        nodes: Most nodes of the branch and bound.

    Returns:
        The choice with the highest total among those within all limits, up to 1e-10 of the largest
        score; None if no choice is within the limits.

    Raises:
        AllocationError: The solver found no choice that stands a second look.
    """
    spent = shares_of_slack(costs, limits, sum(len(row) for row in scores))
    if spent is None:
        return None
    program = _Program.of(scores, pairs, spent)
    for _ in range(_MOST_CUTS):
        result = program.solved(nodes)
        if result is None:
            return None
        picked = np.flatnonzero(result.x[: len(program.group)] > 0.5)
        if all(math.fsum(row[picked]) <= 1 for row in spent):
            choices = tuple(int(option) for option in program.option[picked])
            return Optimum(choices, gap_of(result) / _SCALE * program.largest)
        program.cuts.append(picked)
    raise AllocationError("the integer program has no solution that stands a second look")


@dataclass(frozen=True, eq=False)
class _Program:
    """Options, then products of options: their scores, and what ties products to options."""

    group: NDArray[np.intp]
    option: NDArray[np.intp]
    scores: FloatArray
    ties: "sparse.coo_array"
    spent: FloatArray
    largest: float
    cuts: list[NDArray[np.intp]]

    @classmethod
    def of(
        cls, scores: Sequence[Sequence[float]], pairs: PairScores, spent: FloatArray
    ) -> "_Program":
        from scipy import sparse  # noqa: PLC0415 - slow to import

        counts = [len(row) for row in scores]
        first = np.concatenate([[0], np.cumsum(counts)])
        values = [np.asarray(row, dtype=np.float64) - max(row) for row in scores]
        rows: list[int] = []
        columns: list[int] = []
        signs: list[float] = []
        row, column = 0, int(first[-1])
        for (one, other), table in sorted(pairs.items()):
            if not one < other:
                raise AllocationError(f"pairs name the lower entry first, not {one} and {other}")
            places = column + np.arange(table.size).reshape(table.shape)
            for sums, start in ((places, first[one]), (places.T, first[other])):
                for option, products in enumerate(sums):
                    rows += [row] * (1 + len(products))
                    columns += [int(start) + option, *products.tolist()]
                    signs += [-1.0] + [1.0] * len(products)
                    row += 1
            values.append(np.asarray(table, dtype=np.float64).ravel())
            column += table.size
        flat = np.concatenate(values)
        return cls(
            group=np.repeat(np.arange(len(counts)), counts),
            option=np.concatenate([np.arange(count) for count in counts]),
            scores=flat,
            ties=sparse.coo_array((signs, (rows, columns)), shape=(row, column)),
            spent=spent,
            largest=float(np.abs(flat).max(initial=0.0)) or 1.0,
            cuts=[],
        )

    def solved(self, nodes: int) -> "OptimizeResult | None":
        """Solve it; None where nothing keeps the limits."""
        from scipy import sparse  # noqa: PLC0415 - slow to import
        from scipy.optimize import Bounds, LinearConstraint  # noqa: PLC0415 - slow to import

        count, whole = len(self.group), len(self.scores)
        groups = int(self.group.max()) + 1
        one_each = sparse.coo_array(
            (np.ones(count), (self.group, np.arange(count))), shape=(groups, whole)
        )
        constraints = [LinearConstraint(one_each.tocsr(), 1, 1)]
        if self.ties.shape[0]:
            constraints.append(LinearConstraint(self.ties.tocsr(), 0, 0))
        if len(self.spent):
            limited = np.zeros((len(self.spent), whole))
            limited[:, :count] = self.spent * _SCALE
            constraints.append(LinearConstraint(limited, -np.inf, _SCALE))
        for picked in self.cuts:
            cut = np.zeros((1, whole))
            cut[0, picked] = 1.0
            constraints.append(LinearConstraint(cut, -np.inf, groups - 1))
        most = np.ones(whole)
        most[:count] = (self.spent <= 1.0).all(axis=0)
        integral = np.zeros(whole, dtype=np.int64)
        integral[:count] = 1
        return solve_program(
            -self.scores / self.largest * _SCALE, integral, Bounds(0, most), constraints, nodes
        )
