"""A run over several benches finds one formula for all, and keeps what it is on each."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from tiny_bench import make_tiny
from tiny_runs import CONFIGURATION, patch_setting

from analysis.reporting import report_page
from gp_emq.correlation import rounded
from gp_emq.errors import GpEmqError, RunError
from gp_emq.experiment import Execution, run
from gp_emq.experiment.report import summary_lines
from gp_emq.proxies import configuration_scores
from gp_emq.store import RunStore, read_hall_of_fame

SEVERAL = replace(CONFIGURATION, bench="tiny", more_benches=("other",), population=8)


@pytest.fixture(scope="module")
def others(tiny, tmp_path_factory):
    """The tiny bench and one of another network, by name."""
    other = make_tiny(tmp_path_factory.mktemp("other"), name="other", seed=31)
    return {"tiny": tiny, "other": other}


@pytest.fixture(scope="module")
def start(others, tmp_path_factory):
    """Start or take up a run in a folder of a name."""
    with pytest.MonkeyPatch.context() as patch:
        patch_setting(others["tiny"], patch)
        patch.setattr("gp_emq.experiment._setting.load_bench", lambda name: others[name].bench)
        patch.setattr(
            "gp_emq.experiment._collecting.bench_inputs",
            lambda bench, **_: others[bench.name].inputs,
        )
        folder = tmp_path_factory.mktemp("runs")

        def started(name: str, configuration=SEVERAL, generations: int = 3):
            execution = Execution(
                folder=folder / name, generations=generations, figures=False, quiet=True
            )
            return run(configuration, execution)

        yield started


@pytest.fixture(scope="module")
def finished(start):
    return start("finished")


def test_a_report_is_titled_by_how_many_benches_there_are(finished) -> None:
    page = report_page([finished.folder])
    assert "A proxy for 2 benches" in page
    assert "evaluations, on tiny, other</p>" in page


def tau(table, bench, indices) -> float:
    centred = table - table.mean(axis=1, keepdims=True)
    scores = configuration_scores(centred, bench.configurations.astype(int) - 2)[indices]
    value = stats.kendalltau(rounded(scores), bench.accuracies[indices]).statistic
    return 0.0 if np.isnan(value) else float(value)


def test_the_store_has_a_row_for_each_individual_and_bench(finished, others) -> None:
    with RunStore.open(finished.folder, readonly=True) as store:
        rows = store.individuals(accepted_only=True)
        for place, (name, other) in enumerate(others.items()):
            suffix = f" {place}" if place else ""
            assert store.meta(f"bench{suffix}")["name"] == name
            np.testing.assert_array_equal(
                store.array(f"accuracies{suffix}"), other.bench.accuracies
            )
    assert rows
    for row in rows:
        assert [bench.bench for bench in row.benches] == ["tiny", "other"]
        for bench, oriented in zip(row.benches, row.oriented_tables, strict=True):
            measured = others[bench.bench].bench
            for found, indices in (
                (bench.training_tau, measured.training),
                (bench.validation_tau, measured.validation),
            ):
                assert found == pytest.approx(tau(oriented, measured, indices), abs=1e-12)
        assert row.training_tau == pytest.approx(np.mean([b.training_tau for b in row.benches]))
        assert row.validation_tau == pytest.approx(np.mean([b.validation_tau for b in row.benches]))
        assert row.training_tau >= 0


def test_the_hall_of_fame_and_the_summary_speak_of_both(finished, others) -> None:
    hall = read_hall_of_fame(finished.folder)
    assert hall.provenance.bench == "tiny + other"
    names = [row["name"] for row in finished.summary["rows"]]
    assert [name.rsplit(", on ", 1)[1] for name in names] == ["tiny", "other"] * 4
    with RunStore.open(finished.folder, readonly=True) as store:
        best = store.individual(hall.best.id)
    for row, name, oriented in zip(
        finished.summary["rows"], others, best.oriented_tables, strict=False
    ):
        bench = others[name].bench
        assert row["test"] == pytest.approx(tau(oriented, bench, bench.test))
    assert any("tiny + other" in line for line in summary_lines(finished, []))


def test_it_is_the_same_again_and_after_an_interruption(start, finished, monkeypatch) -> None:
    original, count = RunStore.commit_generation, 0

    def commit(store, *arguments) -> None:
        nonlocal count
        original(store, *arguments)
        count += 1
        if count in (2, 5):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(RunStore, "commit_generation", commit)
    ends = [start("stopped").completed for _ in range(3)]
    assert ends == [False, False, True]
    for folder in (".", "random_search"):
        with (
            RunStore.open(finished.folder / folder) as one,
            RunStore.open(finished.folder.parent / "stopped" / folder) as other,
        ):
            rows, again = one.individuals(), other.individuals()
            assert [replace(row, seconds=0.0) for row in rows] == [
                replace(row, seconds=0.0) for row in again
            ]
            for before, after in zip(rows, again, strict=True):
                np.testing.assert_equal(after.tables, before.tables)
    halls = [
        (finished.folder.parent / name / "hall_of_fame.json").read_bytes()
        for name in ("finished", "stopped")
    ]
    assert halls[0] == halls[1]


def test_it_is_not_resumed_on_another_second_bench(start, others, monkeypatch) -> None:
    start("changed", generations=1)
    changed = replace(others["other"].bench, accuracies=1 - others["other"].bench.accuracies)
    monkeypatch.setitem(others, "other", replace(others["other"], bench=changed))
    with pytest.raises(RunError, match="searched on another bench 'other'"):
        start("changed")


def test_a_bench_is_not_taken_twice_and_files_of_one_are_not_for_all(start) -> None:
    with pytest.raises(GpEmqError, match="'tiny' is there twice"):
        start("twice", replace(SEVERAL, more_benches=("tiny",)))
    with pytest.raises(RunError, match="belong to one bench"):
        replace(SEVERAL, weights="file.pt")


def test_at_equal_cost_the_summary_counts_the_same_pairs_as_fitness(start, others) -> None:
    found = start("equal cost", replace(SEVERAL, fitness="equal-cost"), generations=1)
    with RunStore.open(found.folder, readonly=True) as store:
        best = store.individual(found.summary["best"])
    for row, measured in zip(found.summary["rows"], best.benches, strict=False):
        assert row["training"] == pytest.approx(measured.training_tau, abs=1e-9)
    with pytest.raises(RunError, match="it is one of tau, equal-cost, plans"):
        replace(SEVERAL, fitness="luck")


def test_a_search_for_plans_keeps_what_its_picks_are_worth(start, others) -> None:
    found = start("plans", replace(SEVERAL, fitness="plans"), generations=1)
    with RunStore.open(found.folder, readonly=True) as store:
        best = store.individual(found.summary["best"])
    values = [row.training_tau for row in best.benches]
    assert best.training_tau == pytest.approx(np.mean(values))
    # Rows of the summary tell of tau at equal cost, which is half of it.
    for row, value in zip(found.summary["rows"], values, strict=False):
        assert row["training"] != pytest.approx(value, abs=1e-6)
        assert abs(2 * value - row["training"]) <= 1 + 1e-9
