"""Objectives that cost much: measured as far as a formula may win, and no further."""

import numpy as np
import pytest

from gp_emq.evolution import Measurement
from gp_emq.objectives import MeanObjective


class Dear:
    """Ranks a table by its first number, and measures its second: half each, at most 1."""

    def __init__(self, name: str, cost: float, log: list) -> None:
        self.networks, self.cost, self._log = (name,), cost, log

    def measure(self, formulas):
        return [
            self.together(one, tables, self.dear(one, tables), validated=True)
            for one, tables in zip(self.ranked(formulas), formulas, strict=True)
        ]

    def ranked(self, formulas):
        self._log.append(("ranked", self.networks[0]))
        return [self._of(tables[0][0]) for tables in formulas]

    def bound(self, ranked, most):
        return (ranked.training + most) / 2

    def dear(self, ranked, tables):
        self._log.append(("measured", self.networks[0]))
        return np.array([tables[0][1]])

    def together(self, ranked, tables, dear, *, validated):
        worth = 0.0 if dear is None else float(dear[0])
        found = self._of(ranked.sign * (ranked.training + worth) / 2)
        pair = (np.nan if dear is None else found.training, 0.5 if validated else np.nan)
        return Measurement(
            ranked.sign, found.training, 0.5, (pair,), list, list,
            (np.nan if dear is None else worth,), validated,
        )  # fmt: skip

    @staticmethod
    def _of(value: float) -> Measurement:
        sign = -1 if value < 0 else 1
        return Measurement(sign, abs(value), 0.5, ((abs(value), 0.5),), list, list)


def objectives(log: list, costs=(3.0, 1.0, 2.0)) -> MeanObjective:
    return MeanObjective([Dear(name, cost, log) for name, cost in zip("abc", costs, strict=True)])


def formulas(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    ranks = rng.uniform(-0.3, 1, size=(count, 3))
    worths = rng.uniform(0, 1, size=(count, 3))
    return [tuple(np.stack(one, axis=-1)) for one in zip(ranks, worths, strict=True)]


def test_cheap_benches_come_first_and_dear_ones_only_where_a_formula_may_win() -> None:
    log: list = []
    # Ranks of 0.4; worth nothing on b, which is the cheapest, and everything elsewhere.
    formula = tuple(np.array([0.4, worth]) for worth in (1.0, 0.0, 1.0))
    whole = objectives(log)
    # At most (0.7 + 0.7 + 0.7)/3 = 0.7; after b (0.7 + 0.2 + 0.7)/3 = 0.533.
    (found,) = whole.measure_above([formula], [0.6], [1.0] * 3)
    assert log == [("ranked", name) for name in "abc"] + [("measured", "b")]
    assert not found.is_complete
    assert found.training == pytest.approx(0.2)
    np.testing.assert_array_equal(found.dear, [np.nan, 0, np.nan])
    assert [training for training, _ in found.by_network] == pytest.approx(
        [np.nan, 0.2, np.nan], nan_ok=True
    )
    log.clear()
    (found,) = whole.measure_above([formula], [0.533], [1.0] * 3)
    assert [name for what, name in log if what == "measured"] == ["b", "c", "a"]
    assert found.is_complete
    assert found.training == pytest.approx(1.6 / 3)
    log.clear()
    assert not whole.measure_above([formula], [0.71], [1.0] * 3)[0].is_complete
    assert ("measured", "b") not in log


@pytest.mark.parametrize("bar", [-np.inf, 0.3, 0.45, 0.6, 0.9])
def test_who_may_win_is_measured_as_without_and_who_may_not_would_not_have(bar) -> None:
    log: list = []
    whole = objectives(log)
    given = formulas(200)
    expected = whole.measure(given)
    found = whole.measure_above(given, [bar] * len(given), [1.0] * 3)
    for one, true in zip(found, expected, strict=True):
        assert one.is_complete == (true.training >= bar)
        if one.is_complete:
            assert (one.training, one.sign, one.dear) == (true.training, true.sign, true.dear)
        else:
            assert one.training < bar


def test_what_one_formula_comes_to_depends_on_no_other() -> None:
    whole, given = objectives([]), formulas(40, seed=3)
    bars = np.random.default_rng(1).uniform(0.3, 0.7, size=len(given))
    together = whole.measure_above(given, list(bars), [0.8] * 3)
    for one, formula, bar in zip(together, given, bars, strict=True):
        (alone,) = whole.measure_above([formula], [bar], [0.8] * 3)
        assert (alone.training, alone.is_complete) == (one.training, one.is_complete)
        np.testing.assert_array_equal(alone.dear, one.dear)


def test_of_equal_costs_the_first_comes_first() -> None:
    log: list = []
    formula = tuple(np.array([0.9, 0.9]) for _ in range(3))
    objectives(log, costs=(1.0, 1.0, 1.0)).measure_above([formula], [0.0], [1.0] * 3)
    assert [name for what, name in log if what == "measured"] == ["a", "b", "c"]
