"""The two phases of a run: the search itself, and a random search of equal evaluations.

Both are the same kind of search with a store of their own, so that either is resumed from its
last completed generation.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.evolution import Outcome, Search, SearchSettings, TableJob, make_selection
from gp_emq.experiment._configuration import RunConfiguration
from gp_emq.experiment._setting import Setting
from gp_emq.farm import Farm, FarmSettings
from gp_emq.proxies import share_expressions
from gp_emq.statistics import Kind, Statistics
from gp_emq.store import GenerationRow, RunStore

RANDOM_SEARCH = "random_search"
"""Folder of the random search within a run's folder."""

TENSORS = {Kind.WEIGHTS, Kind.WEIGHTS_PER_BIT, Kind.ACTIVATIONS}
"""Kinds of statistics that take time to compute with."""


def make_farm(
    setting: Setting, statistics: Statistics, settings: FarmSettings, memory: int
) -> Farm[str, Outcome]:
    """Make the farm that turns a run's expressions into tables.

    Args:
        setting: Bench and primitive set.
        statistics: The statistics, collected with a cache.
        settings: Workers and devices.
        memory: MiB of whole tensors that each worker may keep.
    """
    configuration, folder = setting.configuration, statistics.folder
    assert folder is not None  # noqa: S101 - they were collected with a cache
    kinds = {statistics.kind_of(name) for name in setting.statistic_names} & TENSORS
    elements = max((statistics.layout(kind).size for kind in kinds), default=0)
    backend, jobs = settings.chosen(elements)
    if backend is None and setting.primitive_set.has_own_code:
        # What a user's own operator hangs or kills must not be this process.
        backend = "loky"
    return Farm(
        [
            TableJob(
                configuration.primitives,
                folder,
                configuration.screening,
                device,
                memory * 2**20,
            )
            for device in settings.devices
        ],
        jobs=jobs,
        backend=backend,
        scheduler=settings.scheduler,
        task_timeout=settings.task_timeout,
        share=partial(share_expressions, primitive_set=setting.primitive_set),
    )


def make_search(
    setting: Setting,
    farm: Farm[str, Outcome],
    *,
    selection: str,
    progress: Callable[[int, int], None] | None = None,
) -> Search:
    """Make a search from a run's parts.

    Args:
        setting: Bench, primitive set and fitness.
        farm: What evaluates expressions.
        selection: Name of the selection.
        progress: See `Search`.
    """
    configuration = setting.configuration
    return Search(
        primitive_set=setting.primitive_set,
        fitness=setting.fitness,
        tables=farm.map,
        selection=make_selection(selection),
        settings=SearchSettings(
            population=configuration.population,
            seed=configuration.seed,
            max_depth=configuration.max_depth,
            max_size=configuration.max_size,
            crossover=configuration.crossover,
            screening=configuration.screening,
            prioritisation=configuration.prioritisation,
        ),
        seeds=setting.seeds if selection != "random" else (),
        progress=progress,
    )


def open_store(folder: Path, setting: Setting, configuration: RunConfiguration) -> RunStore:
    """Open a phase's store, or start it with what plots need of the bench.

    Raises:
        RunError: The folder cannot be written, or what it holds is damaged.
    """
    if (folder / "store.sqlite").exists():
        return RunStore.open(folder)
    bench = setting.bench
    meta: dict[str, Any] = {
        "config": configuration.to_json(),
        "bench": {
            "name": bench.name,
            "sha256": setting.bench_sha256,
            "network": bench.network,
            "protocol": str(bench.protocol),
            "images": bench.images,
        },
        "entry_names": [bench.layers[entry[0]] for entry in bench.entries],
    }
    arrays: dict[str, NDArray[Any]] = {
        "configurations": np.asarray(bench.configurations, dtype=np.int8),
        "accuracies": np.asarray(bench.accuracies, dtype=np.float64),
        "split": np.asarray(bench.split, dtype=np.int8),
        "bits": np.asarray(bench.bits, dtype=np.int8),
    }
    return RunStore.create(folder, meta, arrays)


def advance(
    search: Search,
    store: RunStore,
    *,
    stop: Callable[[Search], bool],
    most: Callable[[Search], int | None] = lambda search: None,  # noqa: ARG005
    report: Callable[[GenerationRow, GenerationRow | None], None],
) -> None:
    """Run a search, from where its store stands, until something says stop.

    Args:
        search: The search, fresh.
        store: Its store; each completed generation is committed whole.
        stop: Asked before each generation.
        most: How many individuals the next generation may evaluate at most.
        report: Told of each completed generation, and of the one before.
    """
    before = store.last_generation()
    if before is not None:
        search.restore(store.individuals(), store.generations())
    while not stop(search):
        step = search.step(most(search))
        store.commit_generation(step.individuals, step.generation)
        report(step.generation, before)
        before = step.generation


def random_configuration(configuration: RunConfiguration) -> RunConfiguration:
    """Give the configuration of the random search that a run is compared with."""
    return replace(configuration, selection="random", seed_proxies=())
