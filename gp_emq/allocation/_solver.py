"""The exact core: one option per group, the highest total score, within all limits.

HiGHS stops at an absolute gap of 1e-6 and takes rows as held within 1e-6, whatever the numbers
mean. So scores become losses against each group's best option, scaled until the optimum is far
above that gap; costs become shares of what may be spent; and what comes back is evaluated anew.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gp_emq.allocation._quiet import quiet_output
from gp_emq.errors import AllocationError

if TYPE_CHECKING:  # slow to import, and much that imports this module solves nothing
    from scipy.optimize import Bounds, LinearConstraint, OptimizeResult

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-9
"""Relative excess over a limit that counts as none: sums of floats differ by their order."""
NODE_LIMIT = 2_000
"""Nodes of the branch and bound; a bound on seconds would make results differ by machine."""

_SCALE = 1e4
_ENOUGH = 1e2
_MOST_CUTS = 100


@dataclass(frozen=True)
class Optimum:
    """What was chosen.

    Attributes:
        choices: The option of each group.
        gap: Upper bound of what a better choice could still gain, in units of the score; 0 if
            there is none.
    """

    choices: tuple[int, ...]
    gap: float


def within(total: float, limit: float) -> bool:
    """Say whether a total keeps a limit, up to rounding."""
    return total <= limit + TOLERANCE * abs(limit)


def maximise(
    scores: Sequence[Sequence[float]],
    costs: Sequence[Sequence[Sequence[float]]],
    limits: Sequence[float],
    *,
    nodes: int = NODE_LIMIT,
) -> Optimum | None:
    """Choose one option per group.

    Args:
        scores: For each group the score of each option, finite.
        costs: For each limit, for each group, what each option costs; finite.
        limits: Most that the options may cost together.
        nodes: Most nodes of the branch and bound of one program.

    Returns:
        The choice with the highest total score among those within all limits; of options of a
        group with equal scores and costs the first. None if no choice is within the limits.

    Raises:
        AllocationError: The solver failed.
    """
    problem = _Problem.of(scores, costs, limits)
    if problem is None:
        return None
    best, gap = None, 0.0
    bound = math.inf
    while True:
        solution = problem.solve(nodes)
        if solution is None:
            break
        lost, gap, scaled = problem.lost(solution.chosen), solution.gap, solution.scaled
        if best is None or lost <= bound:
            best, bound = solution.chosen, lost
        if lost == 0 or scaled >= _ENOUGH or lost < problem.smallest_loss:
            break
        problem = problem.below(bound)
    if best is None:
        return None
    # Losses are at least 0, so that nothing better can gain more than is lost.
    return Optimum(tuple(int(option) for option in best), min(gap, bound))


@dataclass(frozen=True)
class _Solution:
    """Option of each group, the gap in units of the score, and the scaled loss."""

    chosen: NDArray[np.intp]
    gap: float
    scaled: float


@dataclass(frozen=True)
class _Problem:
    """Options in a row: group, place in the group, loss, and share of each slack."""

    group: NDArray[np.intp]
    option: NDArray[np.intp]
    loss: FloatArray
    spent: FloatArray
    groups: int

    @classmethod
    def of(
        cls,
        scores: Sequence[Sequence[float]],
        costs: Sequence[Sequence[Sequence[float]]],
        limits: Sequence[float],
    ) -> "_Problem | None":
        """Normalise; None if some limit is below what the cheapest options cost."""
        group = np.repeat(np.arange(len(scores)), [len(row) for row in scores])
        option = np.concatenate([np.arange(len(row)) for row in scores])
        loss = np.concatenate([max(row) - np.asarray(row, dtype=np.float64) for row in scores])
        spent = shares_of_slack(costs, limits, len(group))
        if spent is None:
            return None
        fits = np.asarray((spent <= 1.0).all(axis=0), dtype=np.bool_)
        whole = cls(group, option, loss, spent, len(scores))
        return whole._kept(fits)._undominated()

    @property
    def smallest_loss(self) -> float:
        """A loss that is rounding noise beside the largest: 0 where nothing is lost."""
        return float(self.loss.max(initial=0.0)) * 1e-15

    def lost(self, chosen: NDArray[np.intp]) -> float:
        """Loss of a choice, summed exactly."""
        return math.fsum(self.loss[self._places(chosen)])

    def below(self, bound: float) -> "_Problem":
        """Leave out options that alone lose more than a choice that is known."""
        small: NDArray[np.bool_] = np.asarray(self.loss <= bound * (1 + TOLERANCE), dtype=np.bool_)
        return self._kept(small)

    def solve(self, nodes: int) -> _Solution | None:
        """Solve as an integer program; None if nothing is within the limits."""
        counts = np.bincount(self.group, minlength=self.groups)
        if (counts == 0).any():
            return None
        cuts: list[FloatArray] = []
        for _ in range(_MOST_CUTS):
            solution = self._program(nodes, cuts)
            if solution is None:
                return None
            picked = self._places(solution.chosen)
            if all(math.fsum(row[picked]) <= 1 for row in self.spent):
                return solution
            # Within the solver's tolerance, but not within ours: forbid just this choice.
            cut = np.zeros(len(self.group))
            cut[picked] = 1.0
            cuts.append(cut)
        raise AllocationError("the integer program has no solution that stands a second look")

    def _program(self, nodes: int, cuts: list[FloatArray]) -> _Solution | None:
        from scipy import sparse  # noqa: PLC0415 - slow to import
        from scipy.optimize import Bounds, LinearConstraint  # noqa: PLC0415 - slow to import

        count = len(self.group)
        largest = float(self.loss.max(initial=0.0)) or 1.0
        one_each = sparse.csr_array(
            (np.ones(count), (self.group, np.arange(count))), shape=(self.groups, count)
        )
        constraints = [LinearConstraint(one_each, 1, 1)]
        if len(self.spent):
            constraints.append(LinearConstraint(self.spent * _SCALE, -np.inf, _SCALE))
        if cuts:
            constraints.append(LinearConstraint(np.stack(cuts), -np.inf, self.groups - 1))
        whole = np.ones(count, dtype=np.int64)
        result = solve_program(
            self.loss / largest * _SCALE, whole, Bounds(0, 1), constraints, nodes
        )
        if result is None:
            return None
        chosen = np.zeros(self.groups, dtype=np.intp)
        picked = np.flatnonzero(result.x > 0.5)
        chosen[self.group[picked]] = self.option[picked]
        return _Solution(chosen, gap_of(result) / _SCALE * largest, float(result.fun))

    def _places(self, chosen: NDArray[np.intp]) -> NDArray[np.intp]:
        """Where the chosen options lie in the row."""
        return np.flatnonzero(self.option == chosen[self.group])

    def _kept(self, keep: NDArray[np.bool_]) -> "_Problem":
        return _Problem(
            self.group[keep], self.option[keep], self.loss[keep], self.spent[:, keep], self.groups
        )

    def _undominated(self) -> "_Problem":
        """Leave out options that another of the group equals or beats in everything."""
        keep = np.ones(len(self.group), dtype=bool)
        for group in range(self.groups):
            places = np.flatnonzero(self.group == group)
            values = np.vstack([self.loss[places], self.spent[:, places]])
            for i, place in enumerate(places):
                no_worse = (values <= values[:, [i]]).all(axis=0)
                better = (values < values[:, [i]]).any(axis=0)
                earlier = np.arange(len(places)) < i
                keep[place] = not (no_worse & (better | earlier)).any()
        return self._kept(keep)


def shares_of_slack(
    costs: Sequence[Sequence[Sequence[float]]], limits: Sequence[float], options: int
) -> FloatArray | None:
    """Say which share each option has of what its limit leaves beside the cheapest options.

    Args:
        costs: For each limit, for each group, what each option costs.
        limits: Most that the options may cost together.
        options: How many there are, of all groups.

    Returns:
        (limits, options of all groups in a row), where sums of at most 1 are within the limit;
        None if the cheapest options of a limit are beyond it.
    """
    shares = np.zeros((len(limits), options))
    for place, (rows, limit) in enumerate(zip(costs, limits, strict=True)):
        slack = limit + TOLERANCE * abs(limit) - math.fsum(min(row) for row in rows)
        if slack < 0:
            return None
        above = np.concatenate([np.asarray(row, dtype=np.float64) - min(row) for row in rows])
        shares[place] = above / slack if slack > 0 else np.where(above > 0, 2.0, 0.0)
    return shares


def solve_program(
    objective: FloatArray,
    integral: NDArray[np.int64],
    bounds: "Bounds",
    constraints: "Sequence[LinearConstraint]",
    nodes: int,
) -> "OptimizeResult | None":
    """Find the least value of an integer program; None where nothing meets the constraints.

    Args:
        objective: Of each variable.
        integral: 1 where the variable is whole.
        bounds: Of the variables.
        constraints: All that must hold.
        nodes: Most nodes of the branch and bound.

    Raises:
        AllocationError: The solver failed.
    """
    from scipy.optimize import milp  # noqa: PLC0415 - slow to import

    with quiet_output():
        result = milp(
            objective,
            integrality=integral,
            bounds=bounds,
            constraints=constraints,
            options={"mip_rel_gap": 0.0, "node_limit": nodes},
        )
    if result.status == 2:
        return None
    if result.x is None:
        raise AllocationError(f"the integer program was not solved: {result.message}")
    return result


def gap_of(result: "OptimizeResult") -> float:
    """What a better solution could still gain, scaled; infinite where the solver does not say."""
    if result.status == 0:
        return 0.0
    bound = result.mip_dual_bound
    known = bound is not None and not math.isnan(bound)
    return max(float(result.fun - bound), 0.0) if known else math.inf
