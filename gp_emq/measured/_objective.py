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
from gp_emq.objectives import EqualCostObjective

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
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(bench, costs, samples=samples, seed=seed)
        self._plans = plans

    def measure(self, formulas: Sequence[Tables]) -> list[Measurement]:
        """Measure formulas side by side; what each comes to depends on no other.

        Args:
            formulas: The one finite sensitivity table of each, (entries, bits).
        """
        return [
            self._with_plans(one, table)
            for one, (table,) in zip(super().measure(formulas), formulas, strict=True)
        ]

    def _with_plans(self, ranked: Measurement, table: FloatArray) -> Measurement:
        worths, between = np.zeros(len(SHARES)), np.zeros(len(BETWEEN))
        if ranked.training >= LEAST_TAU:
            worths, between = (
                self._plans.worth(ranked.sign * table, shares) for shares in (SHARES, BETWEEN)
            )
        training = max(0.0, with_plans(ranked.training, worths.mean()))
        validation = with_plans(ranked.validation, between.mean())
        return replace(
            ranked,
            training=training,
            validation=validation,
            by_network=((training, validation),),
            make_left_out=partial(_left_out, ranked, worths),
        )


def with_plans(tau: float, worth: float) -> float:
    """Mix tau at equal cost with the mean of what plans are worth, as `SHARE` says."""
    return float((1 - SHARE) * tau + SHARE * worth)


def _left_out(ranked: Measurement, worths: FloatArray) -> FloatArray:
    """Leave out each configuration, then each size, (configurations + sizes,)."""
    others = (worths.sum() - worths) / (len(worths) - 1)
    by_configuration = (1 - SHARE) * ranked.left_out + SHARE * worths.mean()
    by_size = (1 - SHARE) * ranked.training + SHARE * others
    return np.concatenate([by_configuration, by_size])
