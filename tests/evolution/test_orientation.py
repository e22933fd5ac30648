"""The sign of a row belongs to its expression, whatever way the row came into its run."""

import itertools

import numpy as np
import pytest
from reference_interpreter import Reference
from scipy import stats

from gp_emq.evolution._selection import SELECTIONS
from gp_emq.proxies import Evaluator, parse_expression
from primitives import load_primitive_set

POOR = {
    "statistics": ["parameter_count", "macs", "hessian_trace", "depth"],
    "operators": ["subtract"],
    "ends_in_bits": True,
}
"""A set so small that most places are filled by duplicates, half of them negations."""


@pytest.fixture(scope="module")
def poor(write_set) -> str:
    return write_set(**POOR)


@pytest.fixture(scope="module")
def known() -> dict[str, float]:
    """Taus of expressions, each computed once, whichever selection comes across it."""
    return {}


def accepted(search, generations: int):
    return [row for _ in range(generations) if search.step() for row in search.rows if row.accepted]


def tau_of(table: np.ndarray, bench) -> float:
    """Kendall's tau of a table on the training configurations, added up one by one."""
    centred = table - table.mean(axis=1, keepdims=True)
    widths = {int(width): place for place, width in enumerate(bench.bits)}
    scores = np.array(
        [
            sum(centred[entry, widths[int(width)]] for entry, width in enumerate(configuration))
            for configuration in bench.configurations[bench.training]
        ]
    )
    largest = np.abs(scores).max() or 1.0
    tau = stats.kendalltau(np.round(scores / largest, 9), bench.accuracies[bench.training])
    return 0.0 if np.isnan(tau.statistic) else float(tau.statistic)


@pytest.mark.parametrize("screening", [True, False], ids=["screened", "unscreened"])
@pytest.mark.parametrize("selection", SELECTIONS)
def test_the_oriented_table_of_every_row_has_the_tau_of_the_row(
    selection, screening, tiny, poor, known
) -> None:
    primitive_set = load_primitive_set(poor)
    entered_again = 0
    for seed in range(2 if screening else 1):
        search = tiny.search(
            poor, selection=selection, population=12, seed=seed, screening=screening, attempts=20
        )
        rows = accepted(search, 9 if screening else 3)
        entered_again += len(rows) - len({row.canonical for row in rows})
        for row in rows:
            if row.expression not in known:
                tree = parse_expression(row.expression, primitive_set)
                table = Reference(primitive_set, tiny.statistics).table(tree)
                known[row.expression] = tau_of(table, tiny.bench)
            assert row.sign * known[row.expression] == pytest.approx(row.training_tau, abs=1e-12)
            assert row.training_tau >= 0
    assert entered_again > 5


@pytest.mark.parametrize("selection", ["diversity", "emq"])
@pytest.mark.parametrize("primitives", ["bit_aware", "emq", "sequential"])
def test_the_stored_table_of_every_row_is_that_of_its_expression(
    primitives, selection, tiny
) -> None:
    primitive_set = load_primitive_set(primitives)
    tiny.statistics.prepare(primitive_set.needs)
    evaluator = Evaluator(primitive_set, tiny.statistics)
    for row in accepted(tiny.search(primitives, selection=selection, population=8), 4):
        table = evaluator.table(parse_expression(row.expression, primitive_set)).numpy()
        np.testing.assert_array_equal(table, *row.tables)
        assert row.sign * tau_of(table, tiny.bench) == pytest.approx(row.training_tau, abs=1e-12)


def test_signs_survive_an_interruption(tiny, poor) -> None:
    primitive_set = load_primitive_set(poor)
    options = {"selection": "emq", "population": 12, "seed": 1}
    first = tiny.search(poor, **options)
    steps = [(first.step(), first.rows) for _ in range(5)]
    search = tiny.search(poor, **options)
    search.restore(
        list(itertools.chain.from_iterable(rows for _, rows in steps)),
        [generation for generation, _ in steps],
    )
    for one in [*search.population, *search.hall_of_fame, *accepted(search, 3)]:
        is_row = hasattr(one, "training_tau")
        tau = one.training_tau if is_row else one.tau
        sign = one.sign if is_row else one.measurement.sign
        tree = parse_expression(one.expression, primitive_set)
        table = Reference(primitive_set, tiny.statistics).table(tree)
        assert sign * tau_of(table, tiny.bench) == pytest.approx(tau, abs=1e-12)
