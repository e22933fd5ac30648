"""The table of proxies against kinds of networks."""

import json

import numpy as np
import pytest

from benchmarks import zoo
from benchmarks.ceilings import fitted_table_taus
from gp_emq.command import exit_status
from gp_emq.correlation import at_equal_cost
from gp_emq.mqbench import load_bench, model_sizes
from gp_emq.proxies.handcrafted import handcrafted_proxy

NAMES = ("plain-digits-rtn-channel", "plain-digits-rtn-tensor", "wide-digits-rtn-channel")


def test_means_are_over_the_benches_of_a_kind_and_of_a_part() -> None:
    rows = {
        name: {"good": (0.5 + step, 0.9), "bad": None if step else (0.4, 0.1)}
        for name, step in zip(NAMES, (0.0, 0.1, 0.2), strict=True)
    }
    head, _, *lines = zoo.table_of(rows, 0)
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "proxy", "**search** (2)", "plain (2)", "**validation** (1)", "wide (1)",
        "mean of kinds", "worst kind",
    ]  # fmt: skip
    assert lines == [
        "| `good` | **0.550** | **0.550** | **0.700** | **0.700** | **0.625** | **0.550** |",
        "| `bad` | 0.200 | 0.200 | 0.000 | 0.000 | 0.100 | 0.000 |",
    ]
    assert "0.900" in zoo.table_of(rows, 1)[2]


def test_what_was_fitted_stands_last_and_is_never_the_best() -> None:
    rows = {NAMES[0]: {zoo.FITTED: (0.9, 0.9), "bad": (0.4, 0.1), "good": (0.5, 0.2)}}
    assert [line.split("|")[1].strip() for line in zoo.table_of(rows, 0)[2:]] == [
        "`good`", "`bad`", "*fitted to the accuracies*",
    ]  # fmt: skip
    assert "**0.500**" in zoo.table_of(rows, 0)[2]


def test_a_fitted_table_predicts_what_is_additive_and_nothing_else() -> None:
    bench = load_bench(NAMES[0])
    weights = np.random.default_rng(0).random((bench.configurations.shape[1], 3))
    choices = np.searchsorted(bench.bits, bench.configurations)
    additive = np.take_along_axis(weights[None], choices[:, :, None], axis=2)[..., 0].sum(axis=1)
    noise = np.random.default_rng(1).random(len(choices))
    for values, tau in ((additive, 1.0), (noise, 0.0)):
        pairs = at_equal_cost(model_sizes(bench))
        assert fitted_table_taus(bench.configurations, values, pairs) == pytest.approx(
            (tau, tau), abs=0.15
        )


def test_differences_are_means_over_kinds_with_their_interval() -> None:
    ours, theirs = (0.5, 0.7, 0.9), (0.4, 0.4, 0.5)
    rows = {
        name: {"ours": (one, 0.0), "theirs": (other, 0.0), zoo.FITTED: (1.0, 1.0)}
        for name, one, other in zip(NAMES, ours, theirs, strict=True)
    }
    lines = zoo.differences_of(rows, "theirs", 0)
    # Plain differs by 0.2 on average of its two benches, wide by 0.4: t of one degree is 12.706.
    half = 12.706 * 0.1
    assert lines[2:] == [
        f"| `ours` | +0.200 | +0.400 | +0.300 [{0.3 - half:+.3f}, {0.3 + half:+.3f}] |"
    ]
    assert lines[0] == (
        "| less `theirs` | search (1 kinds) | validation (1 kinds) | all (2 kinds) |"
    )


def test_a_bench_is_ranked_over_all_its_configurations() -> None:
    found = zoo.measure(NAMES[0], {"bits": handcrafted_proxy("sum_of_bits")})["bits"]
    bench = load_bench(NAMES[0])
    sums = bench.configurations.sum(axis=1)
    same = at_equal_cost(model_sizes(bench))
    counts = np.zeros(3)  # concordant less discordant, untied sums, untied accuracies
    for i, j in zip(*np.nonzero(np.triu(same, 1)), strict=True):
        first = np.sign(int(sums[i]) - int(sums[j]))
        second = np.sign(bench.accuracies[i] - bench.accuracies[j])
        counts += [first * second, first != 0, second != 0]
    assert found[0] == pytest.approx(counts[0] / np.sqrt(counts[1] * counts[2]), abs=1e-12)


def test_rows_that_are_kept_are_not_measured_again(tmp_path, monkeypatch, capsys) -> None:
    rows = tmp_path / "rows.json"
    monkeypatch.setattr(zoo, "proxies", lambda: {"bits": handcrafted_proxy("sum_of_bits")})
    assert zoo.main([NAMES[0], "--rows", str(rows)]) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr(zoo, "measure", None)
    assert zoo.main([NAMES[0], "--rows", str(rows)]) == 0
    assert capsys.readouterr().out == first


def test_some_proxies_alone_are_ranked_where_they_are_named(tmp_path, monkeypatch, capsys) -> None:
    rows = tmp_path / "rows.json"
    known = {name: handcrafted_proxy("sum_of_bits") for name in ("bits", "other", "third")}
    monkeypatch.setattr(zoo, "proxies", lambda: known)
    line = [NAMES[0], "--rows", str(rows), "--proxies", "other"]
    assert zoo.main(line) == 0
    assert {*json.loads(rows.read_text())[NAMES[0]]} == {"other", zoo.FITTED}
    assert "`other`" in capsys.readouterr().out
    assert zoo.main([*line, "--against", "bits"]) == 0
    said = capsys.readouterr().out
    assert "`bits`" in said
    assert "`third`" not in said
    assert exit_status(lambda: zoo.main([*line, "none"])) == 2
    assert "--proxies names no proxy: 'none'" in capsys.readouterr().err
