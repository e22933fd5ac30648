"""Evolution knows of its objective what the protocol says, and nothing else."""

import ast
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import gp_emq.evolution
from gp_emq.evolution import (
    Measurement,
    Outcome,
    Search,
    SearchSettings,
    TableJob,
    Tabulation,
    make_selection,
)
from gp_emq.proxies import parse_expression
from primitives import load_primitive_set

PACKAGE = Path(gp_emq.evolution.__file__).parent


class Steepness:
    """An objective of no bench at all: how much more the last width gives than the first.

    A formula is as good as the smaller of its steepnesses on two networks, as shares of the sum of
    a table's magnitudes.
    """

    networks = ("first", "second")

    def measure(self, formulas) -> list[Measurement]:
        measurements = []
        for tables in formulas:
            found = [float((t[:, -1] - t[:, 0]).sum() / np.abs(t).sum()) for t in tables]
            sign = -1 if sum(found) < 0 else 1
            worst = max(0.0, min(sign * value for value in found))
            by_network = tuple((sign * value, 0.0) for value in found)
            ranks = np.concatenate([sign * t.ravel() / np.linalg.norm(t) for t in tables])
            measurements.append(
                Measurement(
                    sign, worst, 0.0, by_network,
                    make_left_out=partial(np.full, 2, worst),
                    make_ranks=partial(np.divide, ranks, np.sqrt(2)),
                )
            )  # fmt: skip
        return measurements


@pytest.fixture
def search(tiny) -> Search:
    return Search(
        primitive_set=load_primitive_set("bit_aware"),
        objective=Steepness(),
        evaluate=tiny.tables("bit_aware", networks=2),
        selection=make_selection("diversity"),
        settings=SearchSettings(population=12),
    )


def test_a_class_with_two_members_is_an_objective(search) -> None:
    best = [search.step().best_training for _ in range(5)]
    assert best == sorted(best)
    assert best[-1] > best[0] > 0
    for row in search.rows:
        if row.accepted:
            assert [bench.bench for bench in row.benches] == ["first", "second"]
            steepness = [(t[:, -1] - t[:, 0]).sum() / np.abs(t).sum() for t in row.oriented_tables]
            assert row.training_tau == pytest.approx(max(0.0, min(steepness)))
            assert [bench.training_tau for bench in row.benches] == pytest.approx(steepness)


def test_whoever_evaluates_asks_and_tells(search, tiny) -> None:
    """A step is nothing but asking, evaluating and telling until nothing is left to ask for."""
    evaluate = tiny.tables("bit_aware", networks=2)
    search.begin()
    asked = []
    while proposals := search.ask():
        asked += [proposal.expression for proposal in proposals]
        search.tell(evaluate([proposal.expression for proposal in proposals]))
    search.finish()
    assert len(search.population) == 12
    assert len(set(asked)) == len(asked)
    evaluated = [row.expression for row in search.rows if row.benches or row.seconds]
    assert set(asked) <= set(evaluated)


class TestScreeningOnSeveralNetworks:
    expressions = ("quantization_mse", "log(negate(bits))", "log(quantization_mse)", "log(bits)")

    def screened(self, tiny, second, *, side_by_side: bool) -> list[Outcome]:
        job = TableJob("bit_aware", (tiny.folder, Path("second"), Path("third")))
        primitive_set, (first,) = TableJob("bit_aware", (tiny.folder,)).set_up()
        state = primitive_set, [first, *[replace(first, screen=second)] * 2]
        return Tabulation(job, partial(job.work, state), side_by_side)(self.expressions)

    @pytest.mark.parametrize("side_by_side", [False, True])
    def test_what_any_network_rejects_is_rejected_and_not_tried_on_those_after_it(
        self, side_by_side, tiny
    ) -> None:
        asked = []

        class Second:
            def tables(self, trees):
                first = "rounding noise" if not asked else "not finite"
                asked.append(len(trees))
                return [first, *(np.full((7, 3), float(len(t))) for t in trees[1:])]

        alone = tiny.tables("bit_aware")(list(self.expressions))
        outcomes = self.screened(tiny, Second(), side_by_side=side_by_side)
        assert alone[1].reason == "not finite"
        passed = [one for one in alone if one.reason is None]
        # The third is not asked about what the second rejects, but where it does not wait for it.
        assert asked == [len(passed), len(passed) - (not side_by_side)]
        assert len(passed) > 2
        others = [None] if side_by_side else ["not finite"]
        reasons = iter(["rounding noise", *others, *[None] * (len(passed) - 2)])
        for outcome, before in zip(outcomes, alone, strict=True):
            expected = before.reason if before.reason is not None else next(reasons)
            assert outcome.reason == expected
            if expected is None:
                assert len(outcome.tables) == 3
                np.testing.assert_array_equal(outcome.tables[0], before.tables[0])
                assert outcome.tables[1].shape == (7, 3)
            else:
                assert outcome.tables == ()

    def test_networks_that_share_their_statistics_are_evaluated_once(self, tiny) -> None:
        job = TableJob("bit_aware", (tiny.folder, tiny.folder))
        state = job.set_up()
        assert len(state[1]) == 1
        (outcome,) = Tabulation(job, partial(job.work, state))(["quantization_mse"])
        first, second = outcome.tables
        assert first is second


def imports_of(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_evolution_names_neither_benches_nor_correlations() -> None:
    modules = sorted(PACKAGE.glob("*.py"))
    assert len(modules) > 10
    for path in modules:
        for name in imports_of(path):
            assert not name.startswith(("gp_emq.mqbench", "gp_emq.objectives", "scipy")), path
            assert not any(word in name.lower() for word in ("kendall", "_scores", "rounded")), path


@pytest.mark.slow
def test_evolution_loads_no_bench() -> None:
    code = (
        "import sys, gp_emq.evolution; "
        "print([name for name in sys.modules if name.startswith(('gp_emq.mqb', 'gp_emq.obj'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_formula_that_is_parsed_is_asked_for_as_it_was_written(search) -> None:
    search.begin()
    primitive_set = load_primitive_set("bit_aware")
    for proposal in search.ask():
        assert list(parse_expression(proposal.expression, primitive_set)) == proposal.nodes
        row = proposal.row
        assert (row.generation, row.operator, row.parents) == (0, "fresh", ())
