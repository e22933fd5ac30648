"""A run leaves what it promises, and comes to the same however often it was stopped."""

import copy
import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fuzz._old_store import as_format_1
from scipy import stats
from tiny_runs import CONFIGURATION, patch_setting

from gp_emq.correlation import rounded
from gp_emq.errors import GpEmqError, RunError
from gp_emq.experiment import Execution, load_setting, run
from gp_emq.experiment._parts import tabulation
from gp_emq.experiment.report import summary_lines
from gp_emq.farm import FarmSettings
from gp_emq.proxies import Evaluator, language, parse_expression
from gp_emq.proxies.loading import load_proxy
from gp_emq.ranking import RankedBench, RankOptions, rank
from gp_emq.store import RunStore, read_hall_of_fame


def rows_of(folder: Path):
    """Everything a store holds but the time it took."""
    with RunStore.open(folder) as store:
        individuals = [replace(row, seconds=0.0) for row in store.individuals()]
        tables = [[table.tobytes() for table in row.tables] for row in store.individuals()]
        generations = [replace(row, seconds=0.0) for row in store.generations()]
        summary = store.meta("summary") if "summary" in store.meta_keys() else None
    return individuals, tables, generations, summary


def everything_of(folder: Path):
    hall_of_fame = (folder / "hall_of_fame.json").read_bytes()
    return hall_of_fame, rows_of(folder), rows_of(folder / "random_search")


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """A run that nothing disturbed, and how it ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch_setting(tiny, patch)
        folder = tmp_path_factory.mktemp("finished") / "run"
        return run(
            CONFIGURATION, Execution(folder=folder, generations=3, figures=False, quiet=True)
        )


@pytest.fixture(scope="module")
def undisturbed(finished):
    return everything_of(finished.folder)


def test_a_run_says_how_it_ended(finished) -> None:
    assert finished.completed
    assert finished.generations == 3
    assert finished.reason == "3 generations completed"


def test_a_run_leaves_what_it_promises(finished, tiny) -> None:
    left = {path.name for path in finished.folder.iterdir()}
    assert left == {"store.sqlite", "hall_of_fame.json", "logbook.csv", "random_search"}
    with RunStore.open(finished.folder) as store:
        assert store.meta("config") == {
            **CONFIGURATION.to_json(), "seed_proxies": [], "data": [], "more_benches": [],
            "validate_on": [],
        }  # fmt: skip
        assert store.meta("bench")["name"] == "tiny"
        assert set(store.meta("versions")) == {"python", "deap", "torch", "numpy", "scipy"}
        for name in ("configurations", "accuracies", "split"):
            np.testing.assert_array_equal(store.array(name), getattr(tiny.bench, name))
        assert store.array("bits").tolist() == [2, 3, 4]
        assert len(store.meta("entry_names")) == 4
        assert [row.generation for row in store.generations()] == [0, 1, 2, 3]


def test_the_logbook_has_a_line_per_generation(finished) -> None:
    with (finished.folder / "logbook.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["generation"] for line in lines] == ["0", "1", "2", "3"]


def test_the_hall_of_fame_holds_the_front_with_its_provenance(finished, tiny) -> None:
    hall = read_hall_of_fame(finished.folder)
    assert (hall.provenance.bench, hall.provenance.primitive_set) == ("tiny", "bit_aware")
    assert (hall.provenance.seed, hall.provenance.generations) == (0, 3)
    sizes = [member.size for member in hall.members]
    taus = [member.training_tau for member in hall.members]
    assert sizes == sorted(set(sizes))
    assert taus == sorted(set(taus))
    with RunStore.open(finished.folder) as store:
        assert hall.provenance.evaluations == store.last_generation().evaluations
        for member in hall.members:
            row = store.individual(member.id)
            assert (row.expression, row.canonical) == (member.expression, member.canonical)


def scores_of(table: np.ndarray, bench) -> np.ndarray:
    choices = bench.configurations.astype(int) - 2
    return np.array([table[np.arange(4), choice].sum() for choice in choices])


def tau(scores, accuracies) -> float:
    return stats.kendalltau(rounded(scores), accuracies).statistic


def test_oriented_tables_reproduce_the_taus_of_the_hall_of_fame(finished, tiny) -> None:
    bench = tiny.bench
    with RunStore.open(finished.folder) as store:
        for member in read_hall_of_fame(finished.folder).members:
            scores = scores_of(*store.individual(member.id).oriented_tables, bench)
            for split, expected in (
                (bench.training, member.training_tau), (bench.validation, member.validation_tau),
            ):  # fmt: skip
                assert tau(scores[split], bench.accuracies[split]) == pytest.approx(expected)


def test_the_recommended_formula_is_the_best_on_validation_of_the_best_on_training(
    finished,
) -> None:
    hall = read_hall_of_fame(finished.folder)
    best = max(member.training_tau for member in hall.members)
    close = [member for member in hall.members if best - member.training_tau <= 0.02]
    assert hall.best == max(close, key=lambda member: (member.validation_tau, -member.size))


def test_the_summary_reads_the_test_configurations_rightly(finished, tiny) -> None:
    bench = tiny.bench
    parameters = np.bincount(
        [layer.entry for layer in tiny.inputs.network.layers],
        [layer.parameters for layer in tiny.inputs.network.layers],
    )
    bits = bench.configurations.astype(float)
    with RunStore.open(finished.folder) as store:
        best = store.individual(read_hall_of_fame(finished.folder).best.id)
    expected = {
        "evolved (diversity)": scores_of(*best.oriented_tables, bench),
        "sum of bits": bits.sum(axis=1),
        "BParams": bits @ parameters,
    }
    rows = {row["name"]: row for row in finished.summary["rows"]}
    for name, scores in expected.items():
        row = rows.pop(name)
        for split in ("training", "validation", "test"):
            indices = getattr(bench, split)
            assert row[split] == pytest.approx(tau(scores[indices], bench.accuracies[indices]))
        assert row["low"] <= row["test"] <= row["high"]
    (random_row,) = rows
    evaluations = read_hall_of_fame(finished.folder).provenance.evaluations
    assert random_row == f"random search, {evaluations} evaluations"


def test_ranking_a_run_gives_the_test_tau_of_its_summary(start, tiny, write_set, tmp_path) -> None:
    """On a set in which most formulas come twice, one the negation of the other."""
    primitives = write_set(
        statistics=["parameter_count", "macs", "hessian_trace", "depth"],
        operators=["subtract"],
        ends_in_bits=True,
    )
    configuration = replace(
        CONFIGURATION, primitives=primitives, selection="emq", population=12, seed=11
    )
    result = start(tmp_path / "run", configuration=configuration, generations=8)
    hall = read_hall_of_fame(result.folder)
    bench, expression = tiny.bench, hall.best.expression
    table = Evaluator(language(), tiny.statistics).table(parse_expression(expression, language()))
    scores = hall.best.sign * scores_of(table.numpy(), bench)
    expected = tau(scores[bench.test], bench.accuracies[bench.test])
    assert result.summary["rows"][0]["test"] == pytest.approx(expected)
    target = RankedBench(bench, tiny.inputs, None)
    ranking = rank(target, [load_proxy(result.folder)], RankOptions("test", resamples=20))
    assert ranking.rows[0].tau == pytest.approx(expected)


def test_the_random_search_has_exactly_as_many_evaluations(finished) -> None:
    with RunStore.open(finished.folder) as store:
        evaluations = store.last_generation().evaluations
    with RunStore.open(finished.folder / "random_search") as store:
        assert store.last_generation().evaluations == evaluations
        assert {row.operator for row in store.individuals()} == {"fresh"}
        assert store.meta("config")["selection"] == "random"


@pytest.mark.parametrize(
    ("selection", "asks"),
    [("diversity", True), ("lexicase", False), ("tournament", False), ("emq", False)],
)
def test_who_ranks_also_finds_what_the_selection_will_ask_for(on_tiny, selection, asks) -> None:
    setting = load_setting(replace(CONFIGURATION, selection=selection))
    with tabulation(setting, (on_tiny.statistics,), FarmSettings(), 10) as evaluate:
        assert evaluate.job.detailed is asks


def test_the_report_tells_what_was_found(finished) -> None:
    lines = summary_lines(finished, [Path("figures/convergence.png")])
    text = "\n".join(lines)
    hall = read_hall_of_fame(finished.folder)
    assert hall.best.formula in text
    assert hall.best.expression in text
    for row in finished.summary["rows"]:
        assert f"{row['test']:.3f}" in text
    assert "28 test configurations" in text
    assert "figures/convergence.png" in text
    assert all("\n" not in line for line in lines)


def test_the_same_run_leaves_the_same_to_the_last_byte(start, undisturbed, tmp_path) -> None:
    start(tmp_path / "elsewhere")
    assert everything_of(tmp_path / "elsewhere") == undisturbed


def test_memory_changes_nothing_of_a_run(start, undisturbed, tmp_path) -> None:
    start(tmp_path / "sparing", memory=0)
    assert everything_of(tmp_path / "sparing") == undisturbed


class Crash(BaseException):
    """What no handler expects."""


class Commits:
    """Counts the generations that stores commit, and makes something happen at one of them."""

    def __init__(self, monkeypatch) -> None:
        self.count = 0
        self.before: dict[int, object] = {}
        self.after: dict[int, object] = {}
        original = RunStore.commit_generation

        def commit(store, *arguments):
            number, self.count = self.count, self.count + 1
            self.before.get(number, lambda: None)()
            original(store, *arguments)
            self.after.get(number, lambda: None)()

        monkeypatch.setattr(RunStore, "commit_generation", commit)


@pytest.fixture
def commits(monkeypatch) -> Commits:
    return Commits(monkeypatch)


def crash() -> None:
    raise Crash


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_that_dies_around_any_commit_resumes_to_the_same(
    moment, start, commits, undisturbed, tmp_path
) -> None:
    start(tmp_path / "whole")
    generations = commits.count
    # Four of the search and at least two of the random search.
    assert generations >= 6
    for number in range(generations):
        folder = tmp_path / str(number)
        getattr(commits, moment)[commits.count + number] = crash
        with pytest.raises(Crash):
            start(folder)
        start(folder)
        assert everything_of(folder) == undisturbed


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_lets_the_generation_end_and_the_run_resume_to_the_same(
    start, commits, undisturbed, tmp_path
) -> None:
    for number in range(6):
        folder = tmp_path / str(number)
        commits.before[commits.count + number] = press_ctrl_c
        stopped = start(folder)
        assert not stopped.completed
        assert stopped.reason == "interrupted by Ctrl-C"
        with RunStore.open(folder) as store:
            assert len(store.generations()) == min(number + 1, 4)
        read_hall_of_fame(folder)
        assert (folder / "logbook.csv").exists()
        assert start(folder).completed
        assert everything_of(folder) == undisturbed


def test_a_second_ctrl_c_interrupts_at_once(start, commits, undisturbed, tmp_path) -> None:
    def press_twice() -> None:
        press_ctrl_c()
        press_ctrl_c()

    commits.before[2] = press_twice
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "run")
    with RunStore.open(tmp_path / "run") as store:
        assert len(store.generations()) == 2
    start(tmp_path / "run")
    assert everything_of(tmp_path / "run") == undisturbed


def test_ctrl_c_means_what_it_meant_once_a_run_is_over(start, tmp_path) -> None:
    before = signal.getsignal(signal.SIGINT)
    start(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_completed_run_resumed_stays_as_it_is(start, undisturbed, tmp_path) -> None:
    start(tmp_path / "run")
    assert start(tmp_path / "run").completed
    assert everything_of(tmp_path / "run") == undisturbed


def test_more_generations_go_on_as_if_asked_for_at_first(start, undisturbed, tmp_path) -> None:
    start(tmp_path / "run", generations=1)
    result = start(tmp_path / "run")
    assert result.generations == 3
    hall_of_fame, rows, _ = everything_of(tmp_path / "run")
    assert hall_of_fame == undisturbed[0]
    assert rows[:3] == undisturbed[1][:3]


def test_a_run_of_the_format_before_goes_on_to_the_same(start, undisturbed, tmp_path) -> None:
    start(tmp_path / "run", generations=1)
    for folder in (tmp_path / "run", tmp_path / "run" / "random_search"):
        as_format_1(folder)
    start(tmp_path / "run")
    hall_of_fame, rows, _ = everything_of(tmp_path / "run")
    assert hall_of_fame == undisturbed[0]
    assert rows[:3] == undisturbed[1][:3]


def test_a_time_limit_stops_the_search_and_the_random_search_follows(start, tmp_path) -> None:
    result = start(tmp_path / "run", generations=1000, time_limit=1e-9)
    assert result.completed
    assert result.generations == 0
    assert result.reason == "time limit of 1e-09 s reached"
    assert [row["name"] for row in result.summary["rows"]][1] == "random search, 6 evaluations"


def test_the_random_search_may_be_left_out(start, tmp_path) -> None:
    result = start(tmp_path / "run", generations=1, random_search=False)
    assert not (tmp_path / "run" / "random_search").exists()
    assert not any("random" in row["name"] for row in result.summary["rows"])


def test_random_search_itself_needs_no_other(start, tmp_path) -> None:
    configuration = replace(CONFIGURATION, selection="random")
    result = start(tmp_path / "run", configuration=configuration, generations=1)
    assert not (tmp_path / "run" / "random_search").exists()
    assert result.summary["rows"][0]["name"] == "evolved (random)"


def test_seed_proxies_enter_the_search_and_not_the_random_one(start, tmp_path) -> None:
    seed = "mean(square(quantization_perturbation))"
    configuration = replace(CONFIGURATION, seed_proxies=(seed,))
    start(tmp_path / "run", configuration=configuration, generations=1)
    with RunStore.open(tmp_path / "run") as store:
        assert [row.expression for row in store.individuals() if row.operator == "seed"] == [seed]
    with RunStore.open(tmp_path / "run" / "random_search") as store:
        assert not [row for row in store.individuals() if row.operator == "seed"]


@pytest.mark.parametrize("name", ["gp-data-free", "fit"])
def test_a_proxy_that_is_named_enters_the_search(start, tmp_path, name: str) -> None:
    expression = load_proxy(name).expression
    configuration = replace(CONFIGURATION, primitives="discovery", seed_proxies=(name,))
    start(tmp_path / "run", configuration=configuration, generations=1, random_search=False)
    with RunStore.open(tmp_path / "run") as store:
        seeds = [row.expression for row in store.individuals() if row.operator == "seed"]
    assert seeds == [expression]


def test_progress_goes_to_standard_error_alone(start, tmp_path, capsys) -> None:
    start(tmp_path / "run", generations=1, quiet=False)
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("train", "valid", "diversity", "rejected", "eval/s", "random search"):
        assert part in shown.err


class TestRefusals:
    @pytest.fixture
    def refused(self, start, tmp_path):
        """What a run that cannot start says; it must leave nothing behind."""

        def told(folder: Path | None = None, **configuration) -> str:
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(GpEmqError) as caught:
                start(
                    folder or tmp_path / "new" / "run",
                    configuration=replace(CONFIGURATION, **configuration),
                )
            assert sorted(tmp_path.rglob("*")) == before
            assert "\n" not in str(caught.value)
            return str(caught.value)

        return told

    def test_an_unknown_primitive_set(self, refused) -> None:
        assert "unknown primitive set 'best'" in refused(primitives="best")

    def test_a_set_that_no_individual_passes(self, refused, write_set) -> None:
        hopeless = write_set(statistics=["bits"], operators=["abs"])
        assert "none of" in refused(primitives=hopeless)

    def test_a_seed_that_does_not_parse(self, refused) -> None:
        assert "unknown operator 'maen'" in refused(seed_proxies=("maen(weight)",))

    def test_a_seed_that_the_set_cannot_express(self, refused) -> None:
        told = refused(seed_proxies=("gp-views",))
        assert told.startswith("seed proxy gp-views: unknown ")

    @pytest.mark.parametrize("name", ["ompq", "clado", "gp-whole"])
    def test_a_seed_that_is_no_formula(self, refused, name: str) -> None:
        assert f"no search can start from {name}" in refused(seed_proxies=(name,))

    def test_more_seeds_than_members(self, refused) -> None:
        seeds = ("quantization_mse", "log(quantization_mse)")
        assert "2 seed proxies do not fit a population of 1" in refused(
            seed_proxies=seeds, population=1
        )

    def test_more_samples_than_configurations(self, refused) -> None:
        assert "41 training configurations" in refused(bench_samples=42)

    def test_a_folder_that_is_a_file(self, refused, tmp_path) -> None:
        (tmp_path / "file").touch()
        assert "cannot write to the folder" in refused(tmp_path / "file")
        assert "cannot write to the folder" in refused(tmp_path / "file" / "run")

    def test_a_folder_that_was_there_stays(self, refused, write_set, tmp_path) -> None:
        (tmp_path / "mine").mkdir()
        hopeless = write_set(statistics=["bits"], operators=["abs"])
        refused(tmp_path / "mine", primitives=hopeless)


def test_a_run_is_not_resumed_on_other_statistics(start, on_tiny, monkeypatch, tmp_path) -> None:
    start(tmp_path / "run", generations=1, random_search=False)
    before = rows_of(tmp_path / "run")
    calibration = copy.copy(on_tiny.inputs.calibration)
    calibration.samples = calibration.samples + 1
    other = replace(on_tiny.inputs, calibration=calibration)
    monkeypatch.setattr("gp_emq.experiment._collecting.bench_inputs", lambda bench, **_: other)
    with pytest.raises(RunError, match="searched on other statistics"):
        start(tmp_path / "run")
    assert rows_of(tmp_path / "run") == before


def test_a_run_is_not_resumed_on_another_bench(start, on_tiny, monkeypatch, tmp_path) -> None:
    start(tmp_path / "run", generations=1, random_search=False)
    other = replace(on_tiny.bench, accuracies=1 - on_tiny.bench.accuracies)
    monkeypatch.setattr("gp_emq.experiment._setting.load_bench", lambda name: other)
    with pytest.raises(RunError, match="searched on another bench"):
        start(tmp_path / "run")
