"""What plans are worth, against measuring each by hand, and the objective that asks for it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gp_emq import bench as bench_command
from gp_emq.allocation import Budget, Problem, search_space
from gp_emq.errors import BenchError, RunError
from gp_emq.experiment import Execution, RunConfiguration, run
from gp_emq.experiment._plans import bench_plans
from gp_emq.measured import BenchPlans, MeasuredPlanObjective
from gp_emq.measured._objective import SHARE
from gp_emq.measured._worth import BETWEEN, SHARES
from gp_emq.mqbench import Measurer, configuration_sizes, read_bench, settings_of
from gp_emq.networks import size_table
from gp_emq.objectives import EqualCostObjective
from gp_emq.store import RunStore

BUILD = (
    "build", "--network", "plain-digits", "--per-channel", "--test-images", "64",
    "--calibration-images", "32", "--configs", "40", "--arithmetic", "float", "--quiet",
    "--jobs", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "small.safetensors"
    assert bench_command.main([*BUILD, "--protocol", "rtn", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def plans(built) -> BenchPlans:
    bench = read_bench(built)
    return BenchPlans(bench, Measurer(settings_of(bench)))


def noise(entries: int, seed: int) -> np.ndarray:
    """A table in which wider is better, by how much being random."""
    rng = np.random.default_rng(seed)
    return -np.sort(rng.lognormal(sigma=2, size=(entries, 3)), axis=1)[:, ::-1]


def test_a_plan_is_worth_the_share_of_what_the_least_width_loses(built, plans) -> None:
    bench, bits = read_bench(built), (2, 3, 4)
    measurer = Measurer(settings_of(bench))
    entries, layers = len(bench.entries), measurer.network.layers

    def accuracy(widths) -> float:
        return float(np.unpackbits(measurer.measure(widths), count=64).mean())

    least, most = accuracy((2,) * entries), accuracy((4,) * entries)
    sizes, space = size_table(layers, bits), search_space(layers, bits)
    costs = {(e, w): float(sizes[e, p]) for e in range(entries) for p, w in enumerate(bits)}
    table = noise(entries, 3)
    expected = []
    for share in SHARES:
        limit = sizes[:, 0].sum() + share * (sizes[:, -1].sum() - sizes[:, 0].sum())
        choice = Problem.of(table, space, [Budget("size", "bytes", limit, costs)]).best()
        expected.append((accuracy(choice.configuration) - least) / (most - least))
    assert plans.worth(table) == pytest.approx(expected)
    assert len(set(expected)) > 2
    assert plans.worth(table, (0.0, 1.0)) == pytest.approx([0.0, 1.0])


def test_a_table_without_any_order_is_worth_nothing(plans, built) -> None:
    flat = np.zeros((len(read_bench(built).entries), 3))
    assert plans.worth(flat).tolist() == [0.0] * len(SHARES)


def test_what_was_measured_is_found_again(built, tmp_path, monkeypatch) -> None:
    bench = read_bench(built)
    table = noise(len(bench.entries), 4)
    first = BenchPlans(bench, Measurer(settings_of(bench)), cache=tmp_path).worth(table)
    measurer = Measurer(settings_of(bench))
    again = BenchPlans(bench, measurer, cache=tmp_path)
    monkeypatch.setattr(measurer, "measure", None)
    assert again.worth(table).tolist() == first.tolist()


def test_what_was_damaged_is_measured_again(built, tmp_path) -> None:
    bench = read_bench(built)
    table = noise(len(bench.entries), 4)
    first = BenchPlans(bench, Measurer(settings_of(bench)), cache=tmp_path).worth(table)
    kept = [path for path in (tmp_path / "plans").rglob("*") if path.is_file()]
    assert len(kept) > 2
    for path in kept:
        path.write_bytes(path.read_bytes()[:-1])
    again = BenchPlans(bench, Measurer(settings_of(bench)), cache=tmp_path)
    assert again.worth(table).tolist() == first.tolist()


def test_a_plan_that_breaks_the_network_is_worth_the_least(plans, built, monkeypatch) -> None:
    def broken(configuration):
        raise BenchError("metric is not finite")

    monkeypatch.setattr(plans._measurer, "measure", broken)
    assert plans.worth(noise(len(read_bench(built).entries), 99)).min() == -1.0


def test_an_imported_bench_cannot_be_measured_further(built) -> None:
    bench = replace(read_bench(built), provenance={})
    with pytest.raises(BenchError, match="was imported: it cannot be measured further"):
        bench_plans(bench, lambda: None)


def test_a_bench_with_nothing_to_win_says_so(built) -> None:
    bench = read_bench(built)
    measurer = Measurer(settings_of(bench))
    measurer.measure = lambda _: measurer.form.kept(np.zeros(64, dtype=bool))
    bench = replace(bench, correct=None, accuracies=bench.accuracies * 0)
    with pytest.raises(BenchError, match="no better than at 2, so that plans have nothing to win"):
        BenchPlans(bench, measurer)


def test_what_learns_each_configuration_anew_cannot_be_asked(built) -> None:
    bench = read_bench(built)
    measurer = Measurer(settings_of(bench))
    measurer.recipe = type("Recipe", (), {"round_layer": None, "name": "brecq"})()
    with pytest.raises(BenchError, match="is of brecq, which learns every configuration anew"):
        BenchPlans(bench, measurer)


class Judge:
    """Says what plans are worth without a network: by the first number of the table."""

    def __init__(self) -> None:
        self.asked = []

    def worth(self, table, shares=SHARES):
        self.asked.append(table)
        return np.full(len(shares), float(np.sign(table[0, -1]))) * np.array(shares)


def test_the_objective_mixes_tau_and_worth_in_one_orientation(built) -> None:
    bench = read_bench(built)
    layers = Measurer(settings_of(bench)).network.layers
    costs = configuration_sizes(bench, layers)
    plain, judge = EqualCostObjective(bench, costs), Judge()
    objective = MeasuredPlanObjective(bench, costs, judge)
    good = np.repeat([[-4.0, -2.0, 1.0]], len(bench.entries), axis=0)
    bad = noise(len(bench.entries), 7) * np.where(np.arange(len(bench.entries)) % 2, 1, -1)[:, None]
    formulas = [(good,), (-good,), (bad,)]
    taus = [one.training for one in plain.measure(formulas)]
    assert taus[0] > 0.3 > taus[2]
    found = objective.measure(formulas)
    mean, between = np.mean(SHARES), np.mean(BETWEEN)
    assert [one.training for one in found] == pytest.approx(
        [(1 - SHARE) * taus[0] + SHARE * mean] * 2 + [(1 - SHARE) * taus[2]]
    )
    assert [one.sign for one in found] == [1, -1, plain.measure(formulas)[2].sign]
    assert found[0].validation == pytest.approx(
        (1 - SHARE) * plain.measure(formulas)[0].validation + SHARE * between
    )
    # One that ranks badly is not measured at all.
    assert len(judge.asked) == 4
    left_out = found[0].left_out
    assert len(left_out) == len(objective.training) + len(SHARES)
    last = (1 - SHARE) * taus[0] + SHARE * np.mean(SHARES[:-1])
    assert left_out[-1] == pytest.approx(last)
    assert left_out[: -len(SHARES)].mean() == pytest.approx(found[0].training, abs=0.02)


def test_a_search_is_rewarded_by_plans_and_resumes_to_the_same(
    built, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / "cache"))
    configuration = RunConfiguration(
        bench=str(built), primitives="weights_only", population=10, max_size=6,
        fitness="measured-plans",
    )  # fmt: skip

    def searched(folder: str, generations: int):
        execution = Execution(
            folder=tmp_path / folder, generations=generations, random_search=False, figures=False,
            quiet=True,
        )  # fmt: skip
        return run(configuration, execution)

    whole = searched("whole", 2)
    searched("parts", 1)
    parts = searched("parts", 2)
    assert [one.expression for one in parts.formulas] == [one.expression for one in whole.formulas]
    with RunStore.open(whole.folder, readonly=True) as store:
        best = store.individual(whole.summary["best"])
    with RunStore.open(parts.folder, readonly=True) as store:
        assert store.individual(parts.summary["best"]).training_tau == best.training_tau
    # The summary tells of tau, which is half of what was maximised.
    (row,) = [row for row in whole.summary["rows"] if row["name"].startswith("evolved")]
    worth = 2 * best.training_tau - row["training"]
    assert -1 <= worth <= 1.0 + 1e-9


def test_sparing_plans_changes_nothing_of_what_emq_finds(built, tmp_path, monkeypatch) -> None:
    measured: list[int] = []
    monkeypatch.setattr(
        BenchPlans, "_measured", counted(BenchPlans._measured, measured), raising=True
    )

    def searched(folder: str, generations: int = 3, **settings) -> tuple[str, int]:
        monkeypatch.setenv("GP_EMQ_CACHE", str(tmp_path / f"cache of {folder}"))
        measured.clear()
        execution = Execution(
            folder=tmp_path / folder, generations=generations, random_search=False, figures=False,
            quiet=True,
        )  # fmt: skip
        run(emq_on(built, **settings), execution)
        return (tmp_path / folder / "hall_of_fame.json").read_text(), len(measured)

    whole, all_plans = searched("whole")
    spared, few_plans = searched("spared", spare_plans=True)
    assert spared == whole
    assert few_plans < all_plans
    # The same after an interruption.
    searched("parts", 1, spare_plans=True)
    parts, _ = searched("parts", 3, spare_plans=True)
    assert parts == whole
    counts = []
    for folder in ("spared", "parts"):
        with RunStore.open(tmp_path / folder, readonly=True) as store:
            counts.append(store.meta("summary")["spared"])
            rows = store.individuals(accepted_only=True)
    assert counts[0] == counts[1]
    unfinished = [row for row in rows if row.benches[0].validation_tau is None]
    assert len(unfinished) == counts[0]["formulas"] > 0
    assert "not measured to the end" in (tmp_path / "spared" / "logbook.csv").read_text()


def counted(function, log: list[int]):
    def call(*arguments):
        log.append(1)
        return function(*arguments)

    return call


def emq_on(built: Path, **settings) -> RunConfiguration:
    return RunConfiguration(
        bench=str(built), primitives="weights_only", population=8, max_size=8, selection="emq",
        fitness="measured-plans", **settings,
    )  # fmt: skip


def test_plans_are_spared_where_there_are_any(built) -> None:
    with pytest.raises(RunError, match="--spare-plans is for --fitness measured-plans"):
        RunConfiguration(bench=str(built), spare_plans=True)
