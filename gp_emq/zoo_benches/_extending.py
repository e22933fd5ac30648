"""Adding to a bench the plans of further proxies, measured as everything in it was."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gp_emq.farm import FarmSettings
from gp_emq.mqbench import (
    Bench,
    Chosen,
    Measurer,
    Selection,
    check_alike,
    check_measurer,
    check_workers,
    measured,
    measurer_of,
    settings_of,
    split_together,
    write_bench,
)
from gp_emq.networks import Workload
from gp_emq.outputs import check_output_file
from gp_emq.proxies import Proxy
from gp_emq.zoo_benches._names import NEIGHBOURS
from gp_emq.zoo_benches._plans import proxy_tables
from gp_emq.zoo_benches._selecting import select_plans


def extend_bench(
    bench: Bench,
    proxies: Sequence[Proxy],
    out: Path,
    *,
    neighbours: int = NEIGHBOURS,
    weights: Path | None = None,
    data: Sequence[Path] = (),
    network: str | None = None,
    workload: str | Workload | None = None,
    cache: Path | None = None,
    farm: FarmSettings | None = None,
    progress: bool = False,
) -> Bench:
    """Add the plans of proxies at many budgets, and neighbours of each, to a bench.

    What is in it stays as it is, in its place and part of the split. Everything measured is
    appended at once to `<out>.partial`, so that a call that was killed goes on from there.

    Args:
        bench: The bench.
        proxies: Those whose plans are added.
        out: The file of the longer bench; it may be the bench's own.
        neighbours: How many of each plan.
        weights: The network's weights, for benches that do not bring their own.
        data: The network's images, likewise.
        network: `package.module:factory` of the bench's network, where it is one's own.
        workload: What the bench was measured of, where that is a workload: the workload, or
            `package.module:function` that returns it.
        cache: Folder that keeps statistics and tables, or None.
        farm: Who measures; None for this process alone.
        progress: Show a bar with the time left.

    Returns:
        The longer bench, as written; the bench itself where nothing was to add.

    Raises:
        BenchError: The bench does not say how it was measured, or cannot be measured like that
            here, or no proxy has a plan, or workers are asked for and the workload is an object.
        GpEmqError: Network, weights or images are missing or do not fit.
    """
    check_output_file(out)
    farm = farm or FarmSettings(jobs=1, task_timeout=None)
    check_workers(workload, farm)
    measurer = measurer_of(
        settings_of(bench, weights=weights, data=data, network=network, workload=workload)
    )
    check_measurer(bench, measurer)
    settings, layers = measurer.settings, measurer.network.layers
    tables = proxy_tables(
        proxies,
        layers,
        measurer.calibration,
        bits=bench.bits,
        quantizer=settings.protocol.weights,
        cache=cache,
    )
    wanted = select_plans(tables, layers, bench.bits, neighbours=neighbours, seed=settings.seed)
    added = _new(bench, wanted)
    if not added.chosen:
        return bench
    fingerprint = hashlib.sha256(
        json.dumps([bench.provenance.get("fingerprint"), len(bench.split), added.sha256()]).encode()
    ).hexdigest()
    with measured(
        measurer, added.configurations, fingerprint, out, farm, progress=progress
    ) as found:
        check_alike(bench, measurer)
        longer = _longer(bench, added, found, measurer, _said(bench, added, proxies))
        write_bench(longer, out)
    return longer


def _longer(
    bench: Bench,
    added: Selection,
    found: NDArray[Any],
    measurer: Measurer,
    provenance: dict[str, Any],
) -> Bench:
    """Append configurations and what was measured of each."""
    more: dict[str, Any] = {
        name: None if values is None else np.concatenate([getattr(bench, name), values])
        for name, values in measurer.form.fields(found).items()
    }
    whole = Selection(added.configurations, _chosen_of(bench) + added.chosen)
    return replace(
        bench,
        configurations=np.concatenate([bench.configurations, added.configurations]),
        **more,
        split=_longer_split(bench, whole, measurer.settings.seed),
        chosen=whole.chosen,
        provenance=provenance,
    )


def _said(bench: Bench, added: Selection, proxies: Sequence[Proxy]) -> dict[str, Any]:
    """Say in a bench's provenance whose plans were added."""
    extension = {
        "configurations": len(added.chosen),
        "proxies": {proxy.name: proxy.expression for proxy in proxies},
    }
    extensions = [*bench.provenance.get("extensions", ()), extension]
    return {**bench.provenance, "extensions": extensions}


def _chosen_of(bench: Bench) -> tuple[Chosen, ...]:
    return bench.chosen or (Chosen(),) * len(bench.configurations)


def _new(bench: Bench, wanted: Selection) -> Selection:
    """Leave out what the bench has, and say of neighbours where their plan is in the whole."""
    place = {row.tobytes(): index for index, row in enumerate(bench.configurations)}
    rows: list[NDArray[np.int8]] = []
    chosen: list[Chosen] = []
    for row, one in zip(wanted.configurations, wanted.chosen, strict=True):
        if row.tobytes() in place:
            continue
        if one.near is not None:
            one = replace(one, near=place[wanted.configurations[one.near].tobytes()])  # noqa: PLW2901
        place[row.tobytes()] = len(bench.configurations) + len(rows)
        rows.append(row)
        chosen.append(one)
    shape = (0, bench.configurations.shape[1])
    return Selection(np.stack(rows) if rows else np.empty(shape, np.int8), tuple(chosen))


def _longer_split(bench: Bench, whole: Selection, seed: int) -> NDArray[np.int8]:
    """Keep the split of what was there; neighbours of it join its part, other families draw."""
    families, old = whole.families(), len(bench.split)
    split = np.concatenate([bench.split, np.empty(len(families) - old, np.int8)])
    joined = np.flatnonzero(families < old)
    split[joined] = bench.split[families[joined]]
    new = np.flatnonzero(families >= old)
    kinds = [whole.chosen[int(index)].kind for index in new]
    heads = np.searchsorted(new, families[new])
    split[new] = split_together(heads, kinds, (seed, 4, old))
    split[:old] = bench.split
    return split
