"""Searches on workers that die: the same result, or failures that blame no operator."""

from functools import partial

import pytest
from mortal_tables import MortalTables

from gp_emq.evolution import Outcome, TableJob
from gp_emq.experiment import Execution, RunConfiguration, run
from gp_emq.farm import FarmSettings
from gp_emq.proxies import to_expression
from primitives import load_primitive_set

pytestmark = pytest.mark.slow

CONFIGURATION = RunConfiguration(bench="tiny", population=6, max_size=15, max_depth=5)


@pytest.fixture
def hall_of_fame(tiny, tmp_path, monkeypatch):
    """Run a search of two generations, and give what it leaves."""
    monkeypatch.setattr("gp_emq.experiment._setting.load_bench", lambda name: tiny.bench)
    monkeypatch.setattr(
        "gp_emq.experiment._collecting.bench_inputs", lambda bench, **_: tiny.inputs
    )

    def of_run(name: str, job: type[TableJob] = TableJob, **farm) -> bytes:
        monkeypatch.setattr("gp_emq.experiment._parts.TableJob", job)
        execution = Execution(
            folder=tmp_path / name, generations=2, random_search=False, figures=False, quiet=True,
            farm=FarmSettings(**farm),
        )  # fmt: skip
        assert run(CONFIGURATION, execution).completed
        return (tmp_path / name / "hall_of_fame.json").read_bytes()

    return of_run


@pytest.mark.parametrize("backend", ["dask", "loky"])
def test_a_search_that_lost_a_worker_in_mid_run_finds_the_same(
    backend, hall_of_fame, tmp_path
) -> None:
    mark = tmp_path / "mark"
    mark.mkdir()
    job = partial(MortalTables, mark=mark)
    # The first collects the statistics: workers would not find this bench by its name.
    expected = hall_of_fame("serial", jobs=1)
    assert hall_of_fame(backend, job, jobs=2, backend=backend) == expected
    assert (mark / "died").exists()


def test_what_kills_every_worker_is_recorded_and_no_operator_is_blamed(tiny, monkeypatch) -> None:
    job, tables = TableJob("bit_aware", (tiny.folder,)), tiny.tables("bit_aware")
    died = job.failed((0, "whatever"), "worker died")
    asked_for, counted = [], []

    def mortal(expressions: list[str]) -> list[Outcome]:
        asked_for.extend(expressions)
        return [
            died if "fisher_diagonal" in expression else outcome
            for expression, outcome in zip(expressions, tables(expressions), strict=True)
        ]

    def record(self, tree, *, passed: bool) -> None:
        counted.append(to_expression(tree, load_primitive_set("bit_aware")))

    monkeypatch.setattr("gp_emq.evolution._prioritisation.Prioritisation.record", record)
    search = tiny.search(tables=mortal, population=10)
    rows = [row for _ in range(3) if search.step() for row in search.rows]
    failed = [row for row in rows if row.reason == "failed: worker died"]
    assert failed
    assert all("fisher_diagonal" in row.expression and not row.benches for row in failed)
    # Nothing is learnt of their operators, and none is tried again.
    assert counted
    assert not any("fisher_diagonal" in expression for expression in counted)
    assert len(set(asked_for)) == len(asked_for)
    assert len(search.population) == 10
