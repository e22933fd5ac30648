"""A small study from end to end: equal evaluations, resumed, and its figures by hand."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import gp_emq
from gp_emq import ablate
from gp_emq.ablation import Outcome, _carry_out, comparisons
from gp_emq.errors import GpEmqError
from gp_emq.experiment import Formula
from gp_emq.mqbench import bench_inputs, configuration_sizes, load_bench
from gp_emq.proxies.loading import load_proxy
from primitives import load_primitive_set

STUDY = """
benches = ["digits"]
held_out = ["plain-digits-rtn-channel"]
seeds = 2
evaluations = 37

[settings]
primitives = "weights_only"
population = 10

[variants.reference]
[variants.emq]
selection = "emq"
[variants.random]
selection = "random"
"""


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_study_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.toml"
    study.write_text(STUDY)
    given = ["--config", str(study), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert ablate.main(given) == 0
    shown = capsys.readouterr()
    assert "search 6 of 6: random, seed 1" in shown.err
    assert shown.out.splitlines()[0].split()[:3] == ["variant", "training", "held"]
    found = rows(tmp_path / "out")
    assert [(row["variant"], row["seed"]) for row in found] == [
        (variant, seed) for variant in ("reference", "emq", "random") for seed in "01"
    ]
    assert {row["evaluations"] for row in found} == {"37"}
    assert (tmp_path / "out" / "ablation.svg").exists()
    _check_taus(found[0])
    before = (tmp_path / "out" / "rows.csv").read_bytes()
    assert ablate.main([*given, "--quiet"]) == 0
    assert (tmp_path / "out" / "rows.csv").read_bytes() == before


def _check_taus(row: dict[str, str]) -> None:
    """Rank the row's formula pair by pair, by scipy and by hand."""
    bench = load_bench("plain-digits-rtn-channel")
    inputs = bench_inputs(bench)
    statistics = gp_emq.collect_statistics(
        inputs.calibration, bits=bench.bits, quantizer=inputs.quantizer,
        layers=inputs.network.layers,
    )  # fmt: skip
    table = int(row["sign"]) * np.asarray(load_proxy(row["expression"]).table(statistics))
    places = np.searchsorted(bench.bits, bench.configurations)
    scores = table[np.arange(table.shape[0]), places].sum(axis=1)
    tau = stats.kendalltau(np.round(scores, 12), bench.accuracies).statistic
    assert float(row["all_pairs"]) == pytest.approx(tau, abs=1e-3)
    sizes = configuration_sizes(bench, inputs.network.layers)
    agree = own = other = 0
    for one in range(len(scores)):
        for two in range(one):
            if abs(sizes[one] - sizes[two]) < 0.02 * np.ptp(sizes):
                by_score = np.sign(round(scores[one] - scores[two], 9))
                by_accuracy = np.sign(bench.accuracies[one] - bench.accuracies[two])
                agree += by_score * by_accuracy
                own, other = own + abs(by_score), other + abs(by_accuracy)
    assert float(row["equal_cost"]) == pytest.approx(agree / math.sqrt(own * other), abs=5e-3)
    lost = at_stake = 0.0
    for size in sizes:
        window = np.flatnonzero(np.abs(sizes - size) < 0.02 * np.ptp(sizes))
        accuracies = bench.accuracies[window]
        picked = accuracies[np.isclose(scores[window], scores[window].max(), rtol=1e-9)]
        lost += accuracies.max() - picked.mean()
        at_stake += np.ptp(accuracies)
    assert float(row["picks"]) == pytest.approx(1 - 2 * lost / at_stake, abs=5e-3)


def outcome(variant: str, seed: int, *taus: float) -> Outcome:
    formula = Formula(
        "bits", "b", 1, 1, training=0.5, validation=0.4, best=True,
        primitive_set=load_primitive_set("weights_only"),
    )  # fmt: skip
    named = {f"bench {place}": tau for place, tau in enumerate(taus)}
    return Outcome(variant, seed, formula, 100, named, named, named)


def test_differences_are_of_the_same_seed_and_their_interval_is_students() -> None:
    first = [
        outcome("first", 0, 0.5, 0.7),
        outcome("first", 1, 0.6, 0.6),
        outcome("first", 2, 0, 1),
    ]
    other = [
        outcome("other", 0, 0.6, 0.7), outcome("other", 1, 0.7, 0.7), outcome("other", 2, 0.2, 1)
    ]  # fmt: skip
    _, compared = comparisons([*first, *other])
    # By seed 0.65 - 0.6, 0.7 - 0.6, 0.6 - 0.5.
    test = stats.ttest_rel([0.65, 0.7, 0.6], [0.6, 0.6, 0.5]).confidence_interval()
    assert compared.difference == pytest.approx(0.25 / 3)
    assert compared.interval == pytest.approx((test.low, test.high))
    assert compared.equal_cost == pytest.approx(0.65)


def test_a_formula_that_has_no_table_on_a_held_out_bench_counts_as_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study.toml"
    study.write_text(STUDY.split("[variants.emq]", maxsplit=1)[0].replace("seeds = 2", "seeds = 1"))
    rank = _carry_out.score

    def score(proxy, inputs, bench):
        found = rank(proxy, inputs, bench)
        return replace(found, scores=None, note="its table is not finite")

    monkeypatch.setattr(_carry_out, "score", score)
    assert ablate.main(["--config", str(study), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert (
        "reference, seed 0: the formula counts as 0 on plain-digits-rtn-channel, where its table "
        "is not finite"
    ) in shown
    assert shown.splitlines()[2].split()[2:5] == ["0.000", "0.000", "0.000"]
    (row,) = rows(tmp_path / "out")
    assert (row["equal_cost"], row["without"]) == ("0.0", "its table is not finite")


def test_what_does_not_exist_is_refused_before_anything_is_searched(tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(STUDY.replace('"random"', '"best"'))
    with pytest.raises(GpEmqError, match="unknown selection 'best'"):
        ablate.main(["--config", str(study), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
