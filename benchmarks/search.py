"""A whole search against the same search with a plain DEAP evaluation."""

from collections.abc import Callable

import numpy as np

from benchmarks.plain import PlainContext, PlainDeap
from benchmarks.shapes import random_statistics
from benchmarks.timing import Row, compare
from gp_emq.determinism import one_thread
from gp_emq.evolution import (
    KendallFitness,
    Outcome,
    Search,
    SearchSettings,
    TableScreen,
    make_selection,
)
from gp_emq.mqbench import Bench
from gp_emq.proxies import Evaluator, configuration_scores, language, parse_expression
from gp_emq.statistics import Statistics
from primitives import PrimitiveSet, load_primitive_set

POPULATION, GENERATIONS = 200, 20
CONFIGURATIONS = 425


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


def benchmark(network: str = "resnet20") -> list[Row]:
    """Measure population 200 over 20 generations, everything included."""
    statistics = random_statistics(network)
    primitive_set = load_primitive_set("bit_aware")
    statistics.prepare(primitive_set.needs)
    fitness = KendallFitness(synthetic_bench(statistics))

    def searched(tables: Callable[[list[str]], list[Outcome]]) -> None:
        search = Search(
            primitive_set=primitive_set,
            fitness=fitness,
            tables=tables,
            selection=make_selection("diversity"),
            settings=SearchSettings(population=POPULATION),
        )
        for _ in range(GENERATIONS + 1):
            search.step()

    with one_thread():
        row = compare(
            f"a search on {network}'s shapes, population {POPULATION}, {GENERATIONS} generations",
            lambda: searched(_ours(primitive_set, statistics)),
            "the same, each tree with gp.compile and no caches",
            lambda: searched(_plain(primitive_set, statistics)),
            repeats=1,
        )
    return [row]


def _ours(
    primitive_set: PrimitiveSet, statistics: Statistics
) -> Callable[[list[str]], list[Outcome]]:
    screen = TableScreen(primitive_set, statistics)

    def tables(expressions: list[str]) -> list[Outcome]:
        trees = [parse_expression(text, primitive_set) for text in expressions]
        return [_outcome(result) for result in screen.tables(trees)]

    return tables


def _plain(
    primitive_set: PrimitiveSet, statistics: Statistics
) -> Callable[[list[str]], list[Outcome]]:
    deap = PlainDeap(PlainContext(primitive_set, statistics))

    def one(text: str) -> Outcome:
        table = deap.table(parse_expression(text, primitive_set)).numpy()
        finite = bool(np.isfinite(table).all()) and bool(np.ptp(table, axis=1).max() > 0)
        return _outcome(table if finite else "not finite")

    return lambda expressions: [one(text) for text in expressions]


def _outcome(result: "np.ndarray | str") -> Outcome:  # type: ignore[type-arg]
    if isinstance(result, str):
        return Outcome(None, result, 0.0)
    return Outcome(result, None, 0.0)
