"""The table of proxies over all pairs and at equal cost, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from benchmarks import equal_cost
from gp_emq.mqbench import load_bench, model_sizes
from gp_emq.networks import MEBIBYTE, registered_layers, size_table
from gp_emq.zoo import sizes_of


def test_over_all_pairs_it_is_scipys_tau() -> None:
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 20, 60).astype(float)
    accuracies = scores + generator.normal(scale=6, size=60)
    every = ~np.eye(60, dtype=bool)
    found = equal_cost.concordance(scores, accuracies, every)
    assert found == pytest.approx(stats.kendalltau(scores, accuracies).statistic, abs=1e-12)


def test_only_the_pairs_that_count_do() -> None:
    scores, accuracies = np.array([1.0, 2, 3, 0]), np.array([0.1, 0.3, 0.2, 0.9])
    pairs = np.zeros((4, 4), dtype=bool)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        pairs[one, other] = pairs[other, one] = True
    assert equal_cost.concordance(scores, accuracies, pairs) == pytest.approx(1 / 3)
    assert np.isnan(equal_cost.concordance(scores, accuracies, pairs & False))


def test_pairs_of_equal_cost_differ_by_less_than_a_fiftieth_of_the_range() -> None:
    bench = load_bench("digits")
    layers = registered_layers("digits")
    sizes = model_sizes(bench)
    one_bit = float(size_table(layers, (2,)).sum()) / 2 / MEBIBYTE
    near = np.abs(sizes[:, None] - sizes[None, :]) < 0.02 * 2 * one_bit
    pairs = equal_cost.equal_pairs(bench, sizes_of(layers, bench.bits))
    assert np.array_equal(pairs, near & ~np.eye(len(sizes), dtype=bool))


def test_rows_that_are_there_are_not_measured_again(tmp_path, capsys, monkeypatch) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('{"digits": {"mse": [0.5, 0.25], "snip": [0.75, 0.125]}}')
    monkeypatch.setattr(equal_cost, "measure", None)
    assert equal_cost.main(["digits", "--rows", str(rows)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[2:4] == [
        "| mse | 0.50 / 0.25 | 0.50 / 0.25 |",
        "| snip | 0.75 / 0.12 | 0.75 / 0.12 |",
    ]
    assert out[-1] == "- digits: -1.00"
