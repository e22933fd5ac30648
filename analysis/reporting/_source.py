"""What a report needs of a run, read once from its store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis._ancestry import Ancestry, ancestry_of
from analysis._formulas import Formulas
from analysis._run_data import (
    RANDOM_SEARCH,
    BenchData,
    Course,
    benches_of,
    best_individual,
    chosen_name,
    evaluated_individuals,
    meta_or,
    pareto_front,
    progress_of,
)
from gp_emq.errors import RunError
from gp_emq.store import STORE_NAME, GenerationRow, IndividualRow, RunStore, bench_key


@dataclass(frozen=True)
class Phase:
    """A search of a run: its own, or the random one.

    Attributes:
        generations: those completed, in order.
        course: how the best formula so far improved.
    """

    generations: Sequence[GenerationRow]
    course: Course

    @property
    def seconds(self) -> float:
        """What all generations took."""
        return sum(row.seconds for row in self.generations)


@dataclass(frozen=True)
class RunSource:
    """A run as a report shows it.

    Attributes:
        label: what the run is called among those of the report.
        folder: of the run.
        config: the run's configuration; empty where the store has none.
        meta: everything else that the store says of it, but for long lists.
        benches: none where it was searched for an objective of one's own.
        networks: names of what it was searched on.
        statistics: by place of a bench the fingerprint of its network's statistics, if known.
        summary: what a finished run ends with.
        chosen: the formula that the run recommends, or the best so far of an unfinished one.
        front: formulas that no smaller one beats, in order of size.
        formulas: writes expressions as mathematics.
        ancestry: of the chosen formula.
        search: the search itself.
        random: the random search of equal evaluations, if there was one.
    """

    label: str
    folder: Path
    config: Mapping[str, Any]
    meta: Mapping[str, Any]
    benches: tuple[BenchData, ...]
    networks: tuple[str, ...]
    statistics: Mapping[int, str]
    summary: Mapping[str, Any] | None
    chosen: IndividualRow
    front: tuple[IndividualRow, ...]
    formulas: Formulas
    ancestry: Ancestry
    search: Phase
    random: Phase | None

    @property
    def what(self) -> str:
        """What the chosen formula is called."""
        return chosen_name(finished=self.summary is not None)

    @property
    def at_equal_cost(self) -> bool:
        """Whether the search counted the pairs of configurations of about equal size alone."""
        return bool(self.config.get("fitness") == "equal-cost")

    @property
    def fitness(self) -> str:
        """What the search maximised, in words."""
        tau = "τ at equal cost" if self.at_equal_cost else "τ"
        return f"mean {tau} over the benches" if len(self.networks) > 1 else tau


def read_runs(folders: Sequence[Path]) -> list[RunSource]:
    """Read runs for a report.

    Args:
        folders: of the runs.

    Raises:
        RunError: one of them is no run, is damaged or has evaluated nothing yet, or is given twice.
    """
    resolved = [folder.resolve() for folder in folders]
    for place, folder in enumerate(folders):
        if resolved[place] in resolved[:place]:
            raise RunError(f"the run {folder} is given twice")
    return [_read(folder, label) for folder, label in zip(folders, _labels(resolved), strict=True)]


def _labels(folders: Sequence[Path]) -> list[str]:
    """Give the shortest ends of paths that tell them apart."""
    for parts in range(1, max(len(folder.parts) for folder in folders) + 1):
        labels = ["/".join(folder.parts[-parts:]) for folder in folders]
        if len(set(labels)) == len(labels):
            return labels
    return [str(folder) for folder in folders]


def _read(folder: Path, label: str) -> RunSource:
    with RunStore.open(folder, readonly=True) as store:
        generations = store.generations()
        if not generations:
            raise RunError(f"the run {folder} has not completed a generation yet")
        chosen = best_individual(store)
        benches = benches_of(store)
        known = set(store.meta_keys())
        statistics = {
            place: store.meta_as(key, str)
            for place in range(len(benches))
            if (key := bench_key("statistics", place)) in known
        }
        lists = {bench_key(name, place) for name in ("entry_names", "statistics")
                 for place in range(len(benches))}  # fmt: skip
        meta = {key: store.meta(key) for key in sorted(known - lists - {"config", "summary"})}
        config = meta_or(store, "config", {})
        aims = meta_or(store, "objective", None)
        networks = (
            tuple(bench.name for bench in benches)
            if aims is None
            else tuple(store.meta_as("objective", list[str]))
        )
        return RunSource(
            label=label,
            folder=folder,
            config=config if isinstance(config, dict) else {},
            meta=meta,
            benches=benches,
            networks=networks,
            statistics=statistics,
            summary=meta_or(store, "summary", None),
            chosen=chosen,
            front=tuple(pareto_front(store)),
            formulas=Formulas(store),
            ancestry=ancestry_of(store.ancestry(chosen.id), chosen.id),
            search=Phase(generations, progress_of(generations, evaluated_individuals(store))),
            random=_random_search(folder),
        )


def _random_search(folder: Path) -> Phase | None:
    inner = folder / RANDOM_SEARCH
    if not (inner / STORE_NAME).is_file():
        return None
    with RunStore.open(inner, readonly=True) as store:
        generations = store.generations()
        if not generations:
            return None
        return Phase(generations, progress_of(generations, evaluated_individuals(store)))
