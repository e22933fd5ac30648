"""`gp_emq.search`: the command's engine from Python, and what it gives back."""

import json
import sys

import numpy as np
import pytest
import sympy
import torch
from torch import nn

import gp_emq
from analysis.convergence import plot_convergence
from analysis.genealogy import plot_genealogy
from gp_emq.errors import DataError, GpEmqError, RunError
from gp_emq.evolution import Measurement
from gp_emq.experiment import Execution, RunConfiguration, run
from gp_emq.mqbench import load_bench
from gp_emq.store import RunStore, read_hall_of_fame

SMALL = {"population": 10, "seed": 3}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "run"
    return gp_emq.search("digits", generations=2, out=folder, **SMALL)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))


def test_it_is_the_command_s_search(found, tmp_path) -> None:
    configuration = RunConfiguration(bench="digits", **SMALL)
    run(
        configuration,
        Execution(folder=tmp_path, generations=2, random_search=False, figures=False, quiet=True),
    )
    assert (tmp_path / "hall_of_fame.json").read_bytes() == (
        found.folder / "hall_of_fame.json"
    ).read_bytes()


def test_a_bench_in_memory_gives_the_same(found, tmp_path) -> None:
    again = gp_emq.search(load_bench("digits"), generations=2, out=tmp_path / "run", **SMALL)
    assert again.formulas == found.formulas
    assert again.best == found.best


def test_it_goes_on_where_it_stopped(found, tmp_path) -> None:
    folder = tmp_path / "run"
    assert gp_emq.search("digits", generations=1, out=folder, **SMALL).generations == 1
    assert gp_emq.search("digits", generations=2, out=folder, **SMALL).formulas == found.formulas
    with pytest.raises(RunError, match=r"holds a run with population 10, not 12"):
        gp_emq.search("digits", generations=2, out=folder, population=12, seed=3)


def test_the_front_is_that_of_the_hall_of_fame(found) -> None:
    members = read_hall_of_fame(found.folder).members
    rows = found.front()
    rows = rows if isinstance(rows, list) else rows.to_dict("records")
    assert [row["expression"] for row in rows] == [member.expression for member in members]
    assert [row["training"] for row in rows] == [member.training_tau for member in members]
    assert sum(row["best"] for row in rows) == 1


def test_the_front_is_a_data_frame_where_pandas_is(found, monkeypatch) -> None:
    class Frame(list):
        pass

    module = type(sys)("pandas")
    module.DataFrame = Frame
    monkeypatch.setitem(sys.modules, "pandas", module)
    assert isinstance(found.front(), Frame)
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    assert type(found.front()) is list


def test_its_table_is_that_of_the_run_s_proxy(found, network) -> None:
    images = torch.randn(8, 1, 8, 8)
    statistics = gp_emq.collect_statistics(network, images, bits=(2, 3, 4))
    expected = gp_emq.load_proxy(found.folder).table(statistics)
    np.testing.assert_array_equal(found.table(network, images, bits=(2, 3, 4)), expected)
    np.testing.assert_array_equal(found.table(statistics), expected)
    with pytest.raises(DataError, match="needs calibration images"):
        found.table(network)


def test_formulas_are_oriented_in_text_sympy_and_latex(found) -> None:
    for formula in found.formulas:
        expression = formula.sympy()
        assert isinstance(expression, sympy.Expr)
        assert str(formula).startswith("−") == (formula.sign < 0)
        latex = formula.latex()
        assert latex.count("{") == latex.count("}")
        assert latex.count(r"\left") == latex.count(r"\right")


class Rising:
    """An own objective: by how much tables rise with the widths, of two networks."""

    networks = ("first", "second")

    def measure(self, formulas):
        return [self._one(tables) for tables in formulas]

    def _one(self, tables) -> Measurement:
        parts = [float(np.mean(np.sign(np.diff(table, axis=1)))) for table in tables]
        sign = -1 if sum(parts) < 0 else 1
        values = np.array(parts) * sign
        mean = float(values.mean())
        return Measurement(
            sign, mean, mean, tuple((v, v) for v in values), lambda: values, lambda: values
        )


def test_an_objective_of_one_s_own_is_searched(network, tmp_path) -> None:
    statistics = [
        gp_emq.collect_statistics(network, torch.randn(8, 1, 8, 8), bits=bits, cache=tmp_path)
        for bits in ((2, 3), (2, 3, 4))
    ]
    folder = tmp_path / "run"
    found = gp_emq.search(Rising(), statistics=statistics, generations=2, out=folder, **SMALL)
    table = found.table(statistics[1])
    assert found.best.training == pytest.approx(1.0)
    assert (np.diff(table, axis=1) > 0).all()
    provenance = json.loads((folder / "hall_of_fame.json").read_text())["provenance"]
    assert provenance["bench"] == "first + second"
    rows = found.summary["rows"]
    assert {row["test"] for row in rows} == {None}
    assert rows[-1]["name"] == "BParams, on second"
    same = gp_emq.search(Rising(), statistics=statistics, generations=2, out=folder, **SMALL)
    assert same.formulas == found.formulas
    with RunStore.open(folder, readonly=True) as store:
        assert plot_genealogy(store) is not None
        with pytest.raises(RunError, match="no configurations to show"):
            plot_convergence(store)
        configuration = RunConfiguration.from_json(store.meta("config"))
    with pytest.raises(GpEmqError, match=r"go on from Python, with gp_emq\.search"):
        run(configuration, Execution(folder=folder))


def test_what_does_not_fit_is_refused(network, tmp_path) -> None:
    statistics = gp_emq.collect_statistics(network, torch.randn(8, 1, 8, 8), bits=(2, 3))
    with pytest.raises(GpEmqError, match=r"has 2 networks .first, second., and 1 statistics"):
        gp_emq.search(Rising(), statistics=statistics)
    with pytest.raises(GpEmqError, match="first are in memory alone"):
        gp_emq.search(Rising(), statistics=[statistics] * 2)
    with pytest.raises(RunError, match=r"no setting 'pop': known are .*population"):
        gp_emq.search("digits", pop=3)
    with pytest.raises(RunError, match="generations must be at least 1, not 0"):
        gp_emq.search("digits", generations=0)
    with pytest.raises(RunError, match="at least one bench"):
        gp_emq.search([])
    with pytest.raises(RunError, match="finds its own network"):
        gp_emq.search("digits", statistics=statistics)
    with pytest.raises(GpEmqError, match="nothing"):
        gp_emq.search("nothing", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
