"""The bits that reports show are the best within their budgets."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from analysis.reporting._plans import bit_plans

BITS = (2, 3, 5)


@settings(deadline=None, max_examples=30)
@given(
    table=hnp.arrays(
        np.float64, (4, 3), elements=st.floats(-5, 5).map(lambda x: round(x, 3)) | st.just(np.nan)
    ).filter(lambda table: np.isfinite(table).any(axis=1).all()),
    parameters=st.none() | hnp.arrays(np.int64, 4, elements=st.integers(1, 50)),
)
def test_no_assignment_within_a_budget_scores_higher(table, parameters):
    each = np.ones(4) if parameters is None else parameters
    unit = 4 if parameters is None else 8 * 2**20
    possible = {
        widths: (
            sum(table[entry, BITS.index(width)] for entry, width in enumerate(widths)),
            sum(int(count) * width for count, width in zip(each, widths, strict=True)),
        )
        for widths in product(BITS, repeat=4)
        if all(np.isfinite(table[entry, BITS.index(w)]) for entry, w in enumerate(widths))
    }
    costs = [cost for _, cost in possible.values()]
    for share, plan in zip((0.25, 0.5, 0.75), bit_plans(table, BITS, parameters), strict=True):
        limit = min(costs) + share * (max(costs) - min(costs))
        assert plan.limit == pytest.approx(limit / unit)
        score, cost = possible[tuple(plan.widths.tolist())]
        assert plan.spent == pytest.approx(cost / unit)
        assert cost <= limit * (1 + 1e-9)
        within = [score for score, cost in possible.values() if cost <= limit * (1 + 1e-9)]
        assert score == pytest.approx(max(within), abs=1e-6)
