"""What workers rank comes to the same, to the last bit, as what the search ranks itself."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bench import make_bench, make_tiny

from gp_emq.evolution import (
    Figures,
    Search,
    SearchSettings,
    TableJob,
    Tabulation,
    make_selection,
    share_items,
)
from gp_emq.farm import Farm
from gp_emq.mqbench import write_bench
from gp_emq.objectives import BenchSource, MeanObjective, bench_sha256, objective_of
from primitives import load_primitive_set

FITNESSES = ("tau", "equal-cost", "plans")


@pytest.fixture(scope="session")
def networks(tiny, tmp_path_factory):
    """Two benches of one network and one of another, their files, and where statistics lie."""
    folder = tmp_path_factory.mktemp("benches")
    other = make_tiny(folder, name="other", seed=31)
    benches = [tiny.bench, make_bench(tiny.statistics, "noisy", noise=0.2), other.bench]
    paths = [folder / f"{bench.name}.safetensors" for bench in benches]
    for bench, path in zip(benches, paths, strict=True):
        write_bench(bench, path)
    return benches, paths, [tiny.statistics, tiny.statistics, other.statistics]


def sources_of(networks, fitness: str, samples: int | None) -> tuple[BenchSource, ...]:
    benches, paths, _ = networks
    return tuple(
        BenchSource(str(path), bench_sha256(bench), fitness, samples, 3)
        for bench, path in zip(benches, paths, strict=True)
    )


def mean_of(networks, fitness: str, samples: int | None) -> MeanObjective:
    benches, _, statistics = networks
    return MeanObjective(
        [
            objective_of(bench, one.layers, fitness=fitness, samples=samples, seed=3)
            for bench, one in zip(benches, statistics, strict=True)
        ]
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    fitness=st.sampled_from(FITNESSES),
    samples=st.sampled_from([None, 20]),
    digits=st.sampled_from([0, 1, 15]),
    detailed=st.booleans(),
)
def test_what_parts_find_together_is_what_the_objective_measures(
    networks, *, seed, fitness, samples, digits, detailed
) -> None:
    rng = np.random.default_rng(seed)
    # Tables of few digits tie configurations; one of zeros ties all.
    formulas = [tuple(rng.normal(size=(3, 4, 3)).round(digits)) for _ in range(5)]
    formulas.append(tuple(np.zeros((3, 4, 3))))
    objective = mean_of(networks, fitness, samples)
    parts = [
        source.open(statistics)
        for source, statistics in zip(
            sources_of(networks, fitness, samples), networks[2], strict=True
        )
    ]
    by_part = [
        part.figures([tables[place] for tables in formulas], detailed=detailed)
        for place, part in enumerate(parts)
    ]
    for place, expected in enumerate(objective.measure(formulas)):
        found = objective.measured(formulas[place], [figures[place] for figures in by_part])
        for name in ("sign", "training", "validation", "by_network"):
            assert getattr(found, name) == getattr(expected, name)
        for name in ("left_out", "ranks"):
            assert getattr(found, name).tobytes() == getattr(expected, name).tobytes()
    if fitness != "plans":  # picks among equals are worth something
        assert by_part[0][-1] == Figures(1, 0.0, 0.0)


def test_what_selection_asks_for_is_taken_from_who_ranked_and_found_here_otherwise(
    networks,
) -> None:
    objective = sources_of(networks, "tau", None)[0].open(networks[2][0])
    table = np.random.default_rng(4).normal(size=(4, 3))
    for detailed in (True, False):
        (figures,) = objective.figures([table], detailed=detailed)
        found = objective.measured((table,), [figures])
        if detailed:
            assert found.left_out is figures.details.left_out
            assert found.ranks is figures.details.ranks
        else:
            assert figures.details is None
            assert len(found.left_out) == len(found.ranks) == len(objective.training)


def searched(networks, objective, evaluate, selection: str, islands: int = 1):
    search = Search(
        primitive_set=load_primitive_set("bit_aware"),
        objective=objective,
        evaluate=evaluate,
        selection=make_selection(selection),
        settings=SearchSettings(population=8, seed=5, islands=islands, migration_every=2),
    )
    rows, generations = [], []
    for _ in range(4):
        generations.append(replace(search.step(), seconds=0.0))
        rows += [replace(row, seconds=0.0) for row in search.rows]
    return rows, [[table.tobytes() for table in row.tables] for row in rows], generations


@pytest.mark.parametrize("selection", ["diversity", "lexicase"])
@pytest.mark.parametrize("fitness", FITNESSES)
def test_a_search_is_the_same_whoever_ranks(networks, fitness, selection) -> None:
    objective = mean_of(networks, fitness, None)
    folders = tuple(one.folder for one in networks[2])
    here = TableJob("bit_aware", folders)
    expected = searched(networks, objective, Tabulation(here, Farm([here]).map), selection)
    asks = make_selection(selection).asks_for_details
    there = TableJob(
        "bit_aware", folders, sources=sources_of(networks, fitness, None), detailed=asks
    )
    share = partial(share_items, weights=[1, 2], primitive_set=load_primitive_set("bit_aware"))
    for jobs, side_by_side in ((1, False), (3, True)):
        with Farm([there], jobs=jobs, backend="threading", share=share) as farm:
            evaluate = Tabulation(there, farm.map, side_by_side)
            (outcome,) = evaluate(["quantization_mse"])
            assert [one.details is not None for one in outcome.figures] == [asks] * 3
            assert searched(networks, objective, evaluate, selection) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "islands", "selection"),
    [("dask", 1, "lexicase"), ("loky", 2, "diversity")],
)
def test_processes_rank_and_the_search_is_the_same(networks, backend, islands, selection) -> None:
    if backend == "dask":
        pytest.importorskip("distributed", reason="needs pip install gp_emq[dask]")
    objective = mean_of(networks, "tau", None)
    folders = tuple(one.folder for one in networks[2])
    here = TableJob("bit_aware", folders)
    expected = searched(networks, objective, Tabulation(here, Farm([here]).map), selection, islands)
    there = TableJob(
        "bit_aware", folders, sources=sources_of(networks, "tau", None),
        detailed=selection == "diversity",
    )  # fmt: skip
    # Two of it are for two devices.
    with Farm([there, there], jobs=2, backend=backend) as farm:
        evaluate = Tabulation(there, farm.map, side_by_side=True)
        (outcome,) = evaluate(["multiply(hessian_trace, quantization_mse)"])
        assert len(outcome.figures) == 3
        assert searched(networks, objective, evaluate, selection, islands) == expected
    operators = {row.operator for row in expected[0]}
    assert ("migration" in operators) == (islands > 1)


def test_a_bench_that_is_not_there_or_another_is_left_to_the_search(networks, tmp_path) -> None:
    _, paths, statistics = networks
    source = sources_of(networks, "tau", None)[0]
    assert source.open(statistics[0]) is not None
    assert replace(source, bench=str(tmp_path / "gone.safetensors")).open(statistics[0]) is None
    assert replace(source, bench=str(paths[1])).open(statistics[0]) is None
    job = TableJob("bit_aware", (statistics[0].folder,) * 2, sources=(
        source, replace(source, bench=str(paths[1])),
    ))  # fmt: skip
    (outcome,) = Tabulation(job, partial(job.work, job.set_up()))(["quantization_mse"])
    assert len(outcome.tables) == 2
    assert outcome.figures == ()
