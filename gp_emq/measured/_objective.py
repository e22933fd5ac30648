"""A search's objective that makes the plans of formulas, and measures them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from gp_emq.evolution import FloatArray, Measurement, Tables
from gp_emq.measured._worth import BETWEEN, SHARES
from gp_emq.mqbench import Bench
from gp_emq.objectives import EqualCostObjective, measure_above

SHARE = 0.5
"""How much plans count, beside tau at equal cost."""
LEAST_TAU = 0.3
"""Tau at equal cost below which the plans of a formula are not measured, and are worth nothing."""


class Judge(Protocol):
    """What says what the plans of tables are worth, such as `BenchPlans`."""

    def worth(self, table: ArrayLike, shares: Sequence[float] = ...) -> FloatArray:
        """Say what the plans of an oriented table are worth at some sizes, (shares,)."""


class MeasuredPlanObjective(EqualCostObjective):
    """Measures formulas by tau at equal cost, and by what the plans they make are worth.

    A plan is the optimum of a table, which configurations that were drawn beforehand seldom are:
    what is best among those says little of it. So plans are made at several sizes, the network is
    quantized by each, and its metric counts. On the validation side are the sizes between.

    Measuring costs a pass over the bench's samples for each plan that was not met before; formulas
    that rank badly are not worth that.

    Args:
        bench: The bench.
        costs: Cost of each of its configurations, (n,).
        plans: Says what plans are worth on it.
        cost: What measuring a plan of it costs, beside those of other benches.
        samples: As for `EqualCostObjective`.
        seed: Likewise.

    Raises:
        GpEmqError: No pair of training configurations of equal cost can be ranked.
    """

    def __init__(
        self,
        bench: Bench,
        costs: FloatArray,
        plans: Judge,
        *,
        cost: float = 1.0,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(bench, costs, samples=samples, seed=seed)
        self._plans = plans
        self.cost = cost

    def measure(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Measure formulas side by side; what each comes to depends on no other.

        Args:
            formulas: The one finite sensitivity table of each, (entries, bits).
        """
        return [
            self.together(one, tables, self.dear(one, tables), validated=True)
            for one, tables in zip(self.ranked(formulas), formulas, strict=True)
        ]

    def measure_above(
        self, formulas: Sequence[Tables], bars: Sequence[float], most: Sequence[float]
    ) -> list[Measurement]:
        """Measure formulas, but the plans only of those that may come to a bar by them.

        Args:
            formulas: As for `measure`.
            bars: What each has to come to in training.
            most: What plans are worth at most, (1,).
        """
        split = [(tables,) for tables in formulas]
        return [one for (one,) in measure_above((self,), split, bars, most)]

    def ranked(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Give tau at equal cost alone; see `gp_emq.objectives.measure_above`."""
        return super().measure(formulas)

    def bound(self, ranked: Measurement, most: float) -> float:
        """Say what a formula comes to at most in training, if plans are worth so much."""
        worth = most if ranked.training >= LEAST_TAU else 0.0
        return max(0.0, with_plans(ranked.training, worth))

    def dear(self, ranked: Measurement, tables: Tables) -> FloatArray:
        """Measure what the plans of a formula are worth, (sizes,)."""
        return self._worth(ranked, tables, SHARES)

    def together(
        self, ranked: Measurement, tables: Tables, dear: FloatArray | None, *, validated: bool
    ) -> Measurement:
        """Put tau and plans together; see `gp_emq.objectives.measure_above`."""
        worths = np.zeros(len(SHARES)) if dear is None else dear
        between = self._worth(ranked, tables, BETWEEN) if validated else np.zeros(len(BETWEEN))
        training = max(0.0, with_plans(ranked.training, worths.mean()))
        validation = with_plans(ranked.validation, between.mean())
        return replace(
            ranked,
            training=training,
            validation=validation,
            by_network=(
                (
                    np.nan if dear is None else training,
                    validation if validated else np.nan,
                ),
            ),
            make_left_out=partial(_left_out, ranked, worths),
            dear=(np.nan if dear is None else float(dear.mean()),),
            is_complete=validated,
        )

    def _worth(self, ranked: Measurement, tables: Tables, shares: Sequence[float]) -> FloatArray:
        if ranked.training < LEAST_TAU:
            return np.zeros(len(shares))
        (table,) = tables
        return self._plans.worth(ranked.sign * table, shares)


def with_plans(tau: float, worth: float) -> float:
    """Mix tau at equal cost with the mean of what plans are worth, as `SHARE` says."""
    return float((1 - SHARE) * tau + SHARE * worth)


def _left_out(ranked: Measurement, worths: FloatArray) -> FloatArray:
    """Leave out each configuration, then each size, (configurations + sizes,)."""
    others = (worths.sum() - worths) / (len(worths) - 1)
    by_configuration = (1 - SHARE) * ranked.left_out + SHARE * worths.mean()
    by_size = (1 - SHARE) * ranked.training + SHARE * others
    return np.concatenate([by_configuration, by_size])
