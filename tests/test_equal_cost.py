"""The table of proxies over all pairs and at equal cost, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from benchmarks import equal_cost
from gp_emq.mqbench import load_bench, model_sizes


@pytest.mark.parametrize("name", ["plain-digits-rtn-channel"])
def test_a_bench_is_judged_as_scipy_and_a_loop_over_pairs_do(name, monkeypatch) -> None:
    bench = load_bench(name)
    monkeypatch.setattr("gp_emq.zoo_benches._plans.PROXIES", ("sum_of_bits",))
    found = equal_cost.measure(name, None)["sum_of_bits"]
    bits, sizes = bench.configurations.sum(axis=1), model_sizes(bench)
    assert found[0] == pytest.approx(stats.kendalltau(bits, bench.accuracies).statistic, abs=1e-12)
    window = 0.02 * (sizes.max() - sizes.min())
    concordant = discordant = tied = tied_accuracy = 0
    for one in range(len(sizes)):
        for other in range(one):
            if abs(sizes[one] - sizes[other]) >= window:
                continue
            first = int(bits[one]) - int(bits[other])
            second = bench.accuracies[one] - bench.accuracies[other]
            concordant += first * second > 0
            discordant += first * second < 0
            tied += first != 0
            tied_accuracy += second != 0
    expected = (concordant - discordant) / np.sqrt(tied * tied_accuracy)
    assert found[1] == pytest.approx(expected, abs=1e-12)


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
