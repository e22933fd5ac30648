"""Making what a run is made of: the farm, its searches, and their stores."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.evolution import (
    Outcome,
    Search,
    SearchSettings,
    TableItem,
    TableJob,
    Tabulation,
    make_selection,
    share_items,
)
from gp_emq.experiment._setting import Setting
from gp_emq.farm import Farm, FarmSettings
from gp_emq.objectives import bench_sha256
from gp_emq.statistics import Kind, Statistics
from gp_emq.store import STORE_NAME, RunStore, bench_key

TENSORS = {Kind.WEIGHTS, Kind.WEIGHTS_PER_BIT, Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT}
"""Kinds of statistics that take time to compute with."""


@contextlib.contextmanager
def tabulation(
    setting: Setting, networks: tuple[Statistics, ...], settings: FarmSettings, memory: int
) -> Iterator[Tabulation]:
    """Give what turns a run's expressions into tables, and end its workers afterwards.

    Processes rank what they compute; what is done in this process is ranked by the search, and so
    are tables of a bench that workers do not find, or of an objective of the caller's own. What
    selection asks for of ranked formulas is found with it.

    Args:
        setting: Benches and primitive set.
        networks: The statistics of each bench's network, collected with a cache.
        settings: Workers and devices.
        memory: MiB of whole tensors that each worker may keep.
    """
    configuration = setting.configuration
    folders = tuple(one.folder for one in networks if one.folder is not None)
    sizes = [_elements(one, setting.statistic_names) for one in networks]
    backend, jobs = settings.chosen(max(sizes, default=0))
    if backend is None and setting.primitive_set.has_own_code:
        # What a user's own operator hangs or kills must not be this process.
        backend = "loky"
    apart = backend not in (None, "threading")
    variants = [
        TableJob(
            configuration.primitives,
            folders,
            configuration.screening,
            device,
            memory * 2**20,
            setting.sources if apart else (),
            make_selection(configuration.selection).asks_for_details,
        )
        for device in settings.devices
    ]
    weights = dict(zip(folders, sizes, strict=True))
    farm: Farm[TableItem, Outcome] = Farm(
        variants,
        jobs=jobs,
        backend=backend,
        scheduler=settings.scheduler,
        task_timeout=settings.task_timeout,
        share=partial(
            share_items, weights=list(weights.values()), primitive_set=setting.primitive_set
        ),
    )
    with farm:
        yield Tabulation(variants[0], farm.map, side_by_side=backend is not None)


def _elements(statistics: Statistics, names: Sequence[str]) -> int:
    """Give the elements of the largest tensor that a set uses of a network."""
    kinds = {statistics.kind_of(name) for name in names} & TENSORS
    return max((statistics.layout(kind).size for kind in kinds), default=0)


def make_search(setting: Setting, evaluate: Tabulation, selection: str) -> Search:
    """Make a search with a selection of a name; random search has no seeds."""
    configuration = setting.configuration
    return Search(
        primitive_set=setting.primitive_set,
        objective=setting.objective,
        evaluate=evaluate,
        selection=make_selection(selection),
        settings=SearchSettings(
            population=configuration.population,
            seed=configuration.seed,
            max_depth=configuration.max_depth,
            max_size=configuration.max_size,
            crossover=configuration.crossover,
            screening=configuration.screening,
            prioritisation=configuration.prioritisation,
            # Random search has nothing to keep apart.
            islands=configuration.islands if selection != "random" else 1,
            migration_every=configuration.migration_every,
            frugal=configuration.spare_plans,
        ),
        seeds=setting.seeds if selection != "random" else (),
    )


def open_store(
    folder: Path, setting: Setting, selection: str, networks: Sequence[Statistics]
) -> RunStore:
    """Open a search's store, or start it with what plots and reports need of the benches.

    Args:
        folder: Of the run.
        setting: What it is about.
        selection: Name of the selection.
        networks: Statistics of each bench's network, whose sizes are kept, and where the
            statistics lie: a report then needs no network.

    Raises:
        RunError: The folder cannot be written, or what it holds is damaged.
    """
    if (folder / STORE_NAME).exists():
        return RunStore.open(folder)
    configuration = setting.configuration
    if selection != configuration.selection:
        configuration = replace(configuration, selection=selection, seed_proxies=())
    meta: dict[str, Any] = {"config": configuration.to_json()}
    if not setting.benches:
        meta["objective"] = list(setting.objective.networks)
    arrays: dict[str, NDArray[Any]] = {}
    for place, bench in enumerate(setting.benches):
        meta[bench_key("bench", place)] = {
            "name": bench.name,
            "sha256": bench_sha256(bench),
            "network": bench.network,
            "protocol": str(bench.protocol),
            "images": bench.images,
            "metric": bench.metric,
        }
        meta[bench_key("entry_names", place)] = [bench.layers[entry[0]] for entry in bench.entries]
        meta[bench_key("statistics", place)] = networks[place].fingerprint
        parameters = np.zeros(len(bench.entries), dtype=np.int64)
        for layer in networks[place].layers:
            parameters[layer.entry] += layer.parameters
        arrays[bench_key("parameters", place)] = parameters
        for name, values, kind in (
            ("configurations", bench.configurations, np.int8),
            ("accuracies", bench.oriented, np.float64),
            ("split", bench.split, np.int8),
            ("bits", bench.bits, np.int8),
        ):
            arrays[bench_key(name, place)] = np.asarray(values, dtype=kind)
    return RunStore.create(folder, meta, arrays)
