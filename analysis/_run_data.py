"""What the figures need of a run, read once from its store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import RunError
from gp_emq.files import check_document
from gp_emq.proxies import configuration_scores
from gp_emq.store import (
    STORE_NAME,
    FittedFormula,
    GenerationRow,
    IndividualRow,
    RunStore,
    bench_key,
)

RANDOM_SEARCH = "random_search"
"""The folder within a run that holds the random search of equal evaluations."""

TRAINING, VALIDATION, TEST = 0, 1, 2
BITS_OF_A_MIB = 8 * 2**20
TOP_1 = "top-1"


@dataclass(frozen=True)
class BenchData:
    """The bench that a run searched on.

    Attributes:
        name: of the bench.
        configurations: int (n, entries), the bits of each entry.
        accuracies: float64 (n,) in [0, 1].
        split: int (n,), 0 training, 1 validation, 2 test.
        bits: the bit choices, in the order of a table's columns.
        entry_names: one name per entry.
        place: which of the run's benches it is.
        parameters: int64 (entries,), weights and biases of each; None in a store that was begun
            before there were these.
        metric: what the accuracies are.
    """

    name: str
    configurations: NDArray[np.int64]
    accuracies: NDArray[np.float64]
    split: NDArray[np.int64]
    bits: tuple[int, ...]
    entry_names: tuple[str, ...]
    place: int = 0
    parameters: NDArray[np.int64] | None = None
    metric: str = TOP_1

    @property
    def sizes(self) -> NDArray[np.float64] | None:
        """Size of each configuration's quantized layers in MiB, None where it is not known."""
        if self.parameters is None:
            return None
        sizes: NDArray[np.float64] = self.configurations @ self.parameters / BITS_OF_A_MIB
        return sizes

    def part(self, which: int) -> NDArray[np.int64]:
        """Indices of the training, validation or test configurations."""
        return np.flatnonzero(self.split == which)

    def scores(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Score every configuration by a table.

        Args:
            table: float64 (entries, bits).

        Returns:
            float64 (n,), the sum of the table's values at each configuration's bits; rows
            are centred first, as the search does, which shifts all scores alike.
        """
        choices = np.searchsorted(self.bits, self.configurations)
        return configuration_scores(table - table.mean(axis=1, keepdims=True), choices)


def bench_of(store: RunStore, place: int = 0) -> BenchData:
    """A bench of a run, as its store holds it.

    Args:
        store: of the run.
        place: which of the run's benches; most runs have one.

    Raises:
        RunError: the store lacks a part of it, or the parts do not fit.
    """
    if "objective" in store.meta_keys():
        raise RunError(
            f"the run {store.folder} was searched for an objective of one's own, which has no "
            "configurations to show; python -m analysis.genealogy draws its family tree"
        )

    def array(name: str) -> NDArray[Any]:
        return store.array(bench_key(name, place))

    configurations = array("configurations").astype(np.int64)
    entries = configurations.shape[1] if configurations.ndim == 2 else -1
    bits = tuple(int(width) for width in array("bits"))
    accuracies = array("accuracies").astype(np.float64)
    split = array("split").astype(np.int64)
    if not len(configurations) == len(accuracies) == len(split) or entries < 1:
        raise RunError(f"the run {store.folder} is damaged: the arrays of its bench do not fit")
    if not np.isin(configurations, bits).all() or list(bits) != sorted(set(bits)):
        raise RunError(f"the run {store.folder} is damaged: its configurations have other bits")
    key = bench_key("entry_names", place)
    known = key in store.meta_keys()
    names: Sequence[str] = store.meta_as(key, list[str]) if known else []
    if len(names) != entries:
        names = [f"entry {number}" for number in range(entries)]
    about = store.meta_as(bench_key("bench", place), dict[str, Any])
    parameters = None
    if bench_key("parameters", place) in store.array_names():
        parameters = array("parameters").astype(np.int64)
        if parameters.shape != (entries,):
            raise RunError(
                f"the run {store.folder} is damaged: its parameters are of another bench"
            )
    return BenchData(
        str(about.get("name")), configurations, accuracies, split, bits, tuple(names), place,
        parameters, str(about.get("metric", TOP_1)),
    )  # fmt: skip


def benches_of(store: RunStore) -> tuple[BenchData, ...]:
    """All benches of a run, none where it was searched for an objective of one's own.

    Raises:
        RunError: the store lacks a part of one, or the parts do not fit.
    """
    if "objective" in store.meta_keys():
        return ()
    keys = set(store.meta_keys())
    places = [place for place in range(len(keys)) if bench_key("bench", place) in keys]
    return tuple(bench_of(store, place) for place in places)


def meta_or(store: RunStore, key: str, default: Any) -> Any:
    """A value of a store's meta table, or the default where there is none."""
    return store.meta(key) if key in store.meta_keys() else default


def best_individual(store: RunStore) -> IndividualRow:
    """The individual that a run recommends.

    A finished run names it in its summary; before that it is the one that is best on the
    training configurations, the smaller of two equal ones.

    Raises:
        RunError: nothing has been evaluated yet.
    """
    summary = _summary(store)
    if summary is not None:
        found = store.individual(summary.best)
        return found if summary.fitted is None else summary.fitted.row(found)
    evaluated = evaluated_individuals(store)
    if not evaluated:
        raise RunError(f"the run {store.folder} has evaluated nothing yet")
    return min(evaluated, key=rank_key)


def chosen_name(*, finished: bool) -> str:
    """What the formula is called that a run's figures are of, which is not always its best.

    A finished run recommends one of its front, by validation; before that there is only the best
    on the training configurations.
    """
    return "recommended formula" if finished else "best formula so far"


def is_finished(store: RunStore) -> bool:
    """Whether a run has come to its end, and recommends a formula."""
    return _summary(store) is not None


@dataclass(frozen=True)
class _Recommended:
    """What of a finished run's summary the figures need."""

    best: int
    front: tuple[int, ...]
    fitted: FittedFormula | None = None
    """The best formula, where its constants were fitted: the best is then what they were of."""


def _summary(store: RunStore) -> _Recommended | None:
    if "summary" not in store.meta_keys():
        return None
    found = store.meta_as("summary", dict[str, Any])
    asked = {name: found.get(name) for name in ("best", "front", "fitted")}
    return check_document(asked, _Recommended, RunError, f"the summary of {store.folder}")


def evaluated_individuals(store: RunStore) -> list[IndividualRow]:
    """The individuals that have a fitness, in order of proposal."""
    accepted = store.individuals(accepted_only=True)
    return [row for row in accepted if row.training_tau is not None]


def training_of(row: IndividualRow) -> float:
    """The training tau of an individual that has one."""
    if row.training_tau is None:
        raise ValueError(f"individual {row.id} has no fitness")
    return row.training_tau


def rank_key(row: IndividualRow) -> tuple[float, int, int]:
    """Sorts evaluated individuals, the best first; of equal ones the smaller, then the older."""
    return -training_of(row), row.size, row.id


def pareto_front(store: RunStore) -> list[IndividualRow]:
    """The formulas that no smaller one beats, in order of size.

    A finished run names them in its summary; before that they are those of training tau.
    """
    summary = _summary(store)
    if summary is not None:
        return [store.individual(identifier) for identifier in summary.front]
    front: list[IndividualRow] = []
    rows = evaluated_individuals(store)
    for row in sorted(rows, key=lambda row: (row.size, -training_of(row), row.id)):
        if not front or training_of(row) > training_of(front[-1]):
            front.append(row)
    return front


def oriented_table(row: IndividualRow, bench: BenchData, folder: Path) -> NDArray[np.float64]:
    """The table of an individual whose higher sums predict higher accuracy.

    Returns:
        float64 (entries, bits).

    Raises:
        RunError: the store holds none for this individual, or one of another shape.
    """
    tables = row.oriented_tables
    if bench.place >= len(tables):
        raise RunError(f"the run {folder} holds no table of individual {row.id}")
    table = tables[bench.place]
    expected = (bench.configurations.shape[1], len(bench.bits))
    if table.shape != expected:
        raise RunError(
            f"the run {folder} is damaged: the table of individual {row.id} has shape "
            f"{table.shape}, its bench needs {expected}"
        )
    return table


@dataclass(frozen=True)
class Course:
    """How the best formula found so far improves.

    Attributes:
        evaluations: int (generations,), since the start of the run.
        training: float64 (generations,), highest training tau of any individual so far.
        validation: float64 (generations,), validation tau of that individual.
        quartiles: float64 (3, generations), of the training tau of the population.
    """

    evaluations: NDArray[np.int64]
    training: NDArray[np.float64]
    validation: NDArray[np.float64]
    quartiles: NDArray[np.float64]


def progress_of(
    generations: Sequence[GenerationRow], individuals: Sequence[IndividualRow]
) -> Course:
    """Follow the best individual through the generations.

    Args:
        generations: of a run, in order; at least one.
        individuals: those of the run that have a fitness.
    """
    proposed: dict[int, list[IndividualRow]] = {}
    for row in individuals:
        proposed.setdefault(row.generation, []).append(row)
    fitness = {row.id: training_of(row) for row in individuals}
    best: IndividualRow | None = None
    training, validation, quartiles = [], [], []
    for generation in generations:
        candidates = proposed.get(generation.generation, [])
        best = min([*candidates, *([best] if best else [])], key=rank_key, default=None)
        training.append(np.nan if best is None else training_of(best))
        of_best = None if best is None else best.validation_tau
        validation.append(np.nan if of_best is None else of_best)
        members = [fitness[id_] for id_ in generation.population if id_ in fitness]
        quartiles.append(np.percentile(members, [25, 50, 75]) if members else np.full(3, np.nan))
    return Course(
        np.array([generation.evaluations for generation in generations]),
        np.array(training),
        np.array(validation),
        np.array(quartiles).T,
    )


def random_search_of(store: RunStore) -> Course | None:
    """The progress of the random search that was run beside a run, None without one."""
    folder = store.folder / RANDOM_SEARCH
    if not (folder / STORE_NAME).is_file():
        return None
    with RunStore.open(folder, readonly=True) as random_search:
        generations = random_search.generations()
        if not generations:
            return None
        return progress_of(generations, evaluated_individuals(random_search))
