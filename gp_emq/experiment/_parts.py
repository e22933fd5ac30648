"""Making what a run is made of: the farm, its searches, and their stores."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.evolution import Outcome, Search, SearchSettings, TableJob, make_selection
from gp_emq.experiment._setting import Setting, bench_sha256
from gp_emq.farm import Farm, FarmSettings
from gp_emq.proxies import share_expressions
from gp_emq.statistics import Kind, Statistics
from gp_emq.store import STORE_NAME, RunStore, bench_key

TENSORS = {Kind.WEIGHTS, Kind.WEIGHTS_PER_BIT, Kind.ACTIVATIONS, Kind.ACTIVATIONS_PER_BIT}
"""Kinds of statistics that take time to compute with."""


def make_farm(
    setting: Setting, networks: tuple[Statistics, ...], settings: FarmSettings, memory: int
) -> Farm[str, Outcome]:
    """Make the farm that turns a run's expressions into tables.

    Args:
        setting: Benches and primitive set.
        networks: The statistics of each bench's network, collected with a cache.
        settings: Workers and devices.
        memory: MiB of whole tensors that each worker may keep.
    """
    configuration = setting.configuration
    folders = tuple(one.folder for one in networks if one.folder is not None)
    elements = max(
        (
            one.layout(kind).size
            for one in networks
            for kind in {one.kind_of(name) for name in setting.statistic_names} & TENSORS
        ),
        default=0,
    )
    backend, jobs = settings.chosen(elements)
    if backend is None and setting.primitive_set.has_own_code:
        # What a user's own operator hangs or kills must not be this process.
        backend = "loky"
    return Farm(
        [
            TableJob(
                configuration.primitives,
                folders,
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


def make_search(setting: Setting, farm: Farm[str, Outcome], selection: str) -> Search:
    """Make a search with a selection of a name; random search has no seeds."""
    configuration = setting.configuration
    return Search(
        primitive_set=setting.primitive_set,
        objective=setting.objective,
        evaluate=farm.map,
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
