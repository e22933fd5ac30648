"""A whole search, as it runs by default, against the same with a plain DEAP evaluation.

Wall-clock seconds, since the default farms work out to processes. The plain evaluation compiles
each tree with ``gp.compile`` and evaluates it by itself, layer by layer, serially and without
caches. Where that takes long, it does every so manieth individual of the same search, spread over
all generations, and its seconds are scaled up; what a search does beside evaluating is counted at
what it takes in ours.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.plain import PlainContext, PlainDeap
from benchmarks.shapes import random_statistics, store_statistics
from benchmarks.timing import Row
from gp_emq.determinism import one_thread
from gp_emq.evolution import (
    Outcome,
    Search,
    SearchSettings,
    TableJob,
    Tabulation,
    make_selection,
    share_items,
)
from gp_emq.farm import Farm, FarmSettings
from gp_emq.mqbench import Bench, write_bench
from gp_emq.objectives import BenchObjective, BenchSource, bench_sha256
from gp_emq.proxies import (
    Evaluator,
    configuration_scores,
    language,
    parse_expression,
)
from gp_emq.statistics import Statistics
from primitives import load_primitive_set

CONFIGURATIONS = 425
PRIMITIVES = "bit_aware"
NETWORKS = {"resnet18": 16, "resnet20": 4}
"""Whose shapes, and every how manieth individual the plain evaluation does."""


def synthetic_bench(statistics: Statistics) -> Bench:
    """Make a bench whose accuracies are a formula's scores under noise."""
    rng = np.random.default_rng(0)
    entries = statistics.layout("Weights").entry_count
    bits = statistics.bits
    configurations = rng.choice(bits, size=(CONFIGURATIONS, entries)).astype(np.int8)
    tree = parse_expression(
        "divide(mean(fisher_diagonal), sum(square(quantization_perturbation)))", language()
    )
    table = Evaluator(language(), statistics).table(tree).log().numpy()
    scores = configuration_scores(table, np.searchsorted(bits, configurations))
    noisy = scores + scores.std() * rng.normal(size=len(scores)) / 2
    low, high = noisy.min(), noisy.max()
    split = np.arange(CONFIGURATIONS, dtype=np.int8) % 3
    return Bench(
        name="synthetic",
        network="random",
        layers=tuple(layer.name for layer in statistics.layers),
        entries=tuple((entry,) for entry in range(entries)),
        bits=bits,
        protocol="synthetic",
        configurations=configurations,
        accuracies=np.round((noisy - low) / (high - low), 4),
        correct=None,
        images=10_000,
        split=split,
        groups=10_000,
    )


def benchmark(
    networks: Mapping[str, int] = NETWORKS, population: int = 200, generations: int = 20
) -> list[Row]:
    """Measure searches, everything included.

    Args:
        networks: As `NETWORKS`.
        population: Individuals.
        generations: After the first.
    """
    return [
        row
        for network, step in networks.items()
        for row in _rows(network, step, population, generations)
    ]


def _rows(network: str, step: int, population: int, generations: int) -> list[Row]:
    statistics = random_statistics(network)
    statistics.prepare(load_primitive_set(PRIMITIVES).needs)
    plain = _Plain(statistics, step)
    chosen = FarmSettings().chosen(statistics.layout("Weights").size)
    crews = [chosen] if chosen[1] == 1 else [chosen, (None, 1)]
    rows = []
    for backend, workers in crews:
        seconds, beside, expressions = _searched(
            network,
            statistics,
            population=population,
            generations=generations,
            backend=backend,
            workers=workers,
        )
        theirs = beside + plain.seconds(expressions)
        crew = "one process" if workers == 1 else f"{workers} workers"
        rows.append(
            Row(
                f"a search on {network}'s shapes, population {population}, {generations} "
                f"generations, {crew} (wall clock)",
                seconds,
                "the same, each tree with gp.compile and no caches"
                + (f" (every {step}th of {len(expressions):,}, scaled)" if step > 1 else ""),
                theirs,
                theirs / seconds,
            )
        )
    return rows


def _searched(
    network: str,
    statistics: Statistics,
    *,
    population: int,
    generations: int,
    backend: str | None,
    workers: int | None,
) -> tuple[float, float, list[str]]:
    """Search once.

    Returns:
        The seconds it took, those of them that it did not wait for tables, and what it evaluated.
    """
    primitive_set = load_primitive_set(PRIMITIVES)
    expressions: list[str] = []
    waited = 0.0
    with tempfile.TemporaryDirectory() as folder:
        store_statistics(network, primitive_set.needs, Path(folder))
        bench, path = synthetic_bench(statistics), Path(folder) / "bench.safetensors"
        write_bench(bench, path)
        source = BenchSource(str(path), bench_sha256(bench), "tau", None, 0)
        sources = () if backend is None else (source,)
        job = TableJob(PRIMITIVES, (Path(folder),), sources=sources)
        share = partial(share_items, weights=[1], primitive_set=primitive_set)
        with Farm([job], jobs=workers, backend=backend, share=share) as farm:
            evaluate = Tabulation(job, farm.map)
            evaluate(["mean(quantization_perturbation)"] * (workers or 1))

            def tables(items: list[str]) -> Sequence[Outcome]:
                nonlocal waited
                expressions.extend(items)
                start = time.perf_counter()
                outcomes = evaluate(items)
                waited += time.perf_counter() - start
                return outcomes

            search = Search(
                primitive_set=primitive_set,
                objective=BenchObjective(bench),
                evaluate=tables,
                selection=make_selection("diversity"),
                settings=SearchSettings(population=population),
            )
            start = time.perf_counter()
            for _ in range(generations + 1):
                search.step()
            seconds = time.perf_counter() - start
    return seconds, seconds - waited, expressions


class _Plain:
    """What a plain DEAP evaluation takes.

    Args:
        statistics: The statistics.
        step: Every how manieth expression it really evaluates.
    """

    def __init__(self, statistics: Statistics, step: int) -> None:
        self._set = load_primitive_set(PRIMITIVES)
        self._deap = PlainDeap(PlainContext(self._set, statistics))
        self._step = step

    def seconds(self, expressions: Sequence[str]) -> float:
        """Measure the evaluation of some expressions."""
        chosen = expressions[self._step // 2 :: self._step]
        with one_thread():
            self._deap.table(parse_expression(chosen[0], self._set))
            start = time.perf_counter()
            for text in chosen:
                self._deap.table(parse_expression(text, self._set))
            return (time.perf_counter() - start) * len(expressions) / len(chosen)
