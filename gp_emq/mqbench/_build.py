"""Building a bench: sample, measure, write; resumable, and the same for any number of jobs."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gp_emq.errors import BenchError
from gp_emq.farm import Farm, FarmSettings, Job
from gp_emq.files import code_sha256
from gp_emq.mqbench._bench import Bench, check_layers
from gp_emq.mqbench._file import read_bench, write_bench
from gp_emq.mqbench._form import Found
from gp_emq.mqbench._jobs import MeasurementJob, RoundingJob
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, measurer_of
from gp_emq.mqbench._partial import PartialResults, partial_results
from gp_emq.mqbench._sampling import random_selection, split_configurations, split_together
from gp_emq.mqbench._selection import Selection
from gp_emq.networks import Network, Workload, entry_layers, values_per_sample
from gp_emq.outputs import check_output_file, check_output_folder

T = TypeVar("T")
R = TypeVar("R")

_TIMED = 4


def build_bench(
    settings: MeasurementSettings,
    *,
    count: int = 0,
    selection: Selection | None = None,
    out: Path,
    name: str | None = None,
    farm: FarmSettings | None = None,
    progress: bool = False,
    timed: bool = False,
) -> Bench:
    """Measure bit configurations, and write the bench.

    Everything measured is appended at once to `<out>.partial`, so that a build that was
    killed goes on from there when it is started again.

    Args:
        settings: what is measured and how.
        count: number of configurations to draw at random, where there is no selection.
        selection: the configurations.
        out: the bench file.
        name: of the bench; by default the file's name without suffix.
        farm: who measures; None for this process alone. Its devices are of the settings' kind.
        progress: show a bar with the time left.
        timed: say in the provenance how many processor seconds a configuration takes.

    Returns:
        The bench, as written.

    Raises:
        BenchError: if `out` holds another bench, or workers are asked for and the workload is an
            object, which they cannot be told of.
        RunError: if it cannot be written, or the disk is full.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    partial = out.with_name(f"{out.name}.partial")
    check_output_file(out)
    check_output_file(partial)
    farm = farm or FarmSettings(jobs=1, task_timeout=None)
    check_workers(settings.workload, farm)
    measurer = measurer_of(settings)
    entries = entry_layers(measurer.network.layers)
    drawn = selection is None
    if selection is None:
        selection = random_selection(count, len(entries), settings.bits, (settings.seed, 0))
    count = len(selection.configurations)
    provenance = {**measurer.provenance(), "configurations": count}
    if not drawn:
        provenance["selection_sha256"] = selection.sha256()
    fingerprint = _fingerprint(provenance, settings.bits)
    if out.exists():
        return _finished(out, fingerprint, measurer.network)
    with measured(
        measurer, selection.configurations, fingerprint, out, farm, progress=progress
    ) as found:
        bench = drawn_bench(measurer, selection, found, name=name or out.stem, drawn=drawn)
        about = {
            **provenance,
            "fingerprint": fingerprint,
            "float_accuracy": measurer.float_accuracy(),
            **({"processor_seconds": _seconds(measurer, selection)} if timed else {}),
        }
        bench = replace(bench, provenance=about)
        write_bench(bench, out)
    return bench


def drawn_bench(
    measurer: Measurer, selection: Selection, found: Found, *, name: str, drawn: bool = True
) -> Bench:
    """Make a bench of what was measured.

    Args:
        measurer: who measured.
        selection: the configurations.
        found: what is kept of each, (n, length).
        name: of the bench.
        drawn: whether the configurations were drawn at random.
    """
    settings, metric = measurer.settings, measurer.test.metric
    seed, kinds = (settings.seed, 1), [one.kind for one in selection.chosen]
    return Bench(
        name=name,
        network=measurer.network.name,
        layers=tuple(layer.name for layer in measurer.network.layers),
        entries=entry_layers(measurer.network.layers),
        bits=settings.bits,
        protocol=settings.protocol.name,
        configurations=selection.configurations,
        **measurer.form.fields(found),
        images=len(measurer.test),
        split=(
            split_configurations(len(found), seed)
            if drawn
            else split_together(selection.families(), kinds, seed)
        ),
        groups=measurer.groups,
        chosen=() if drawn else selection.chosen,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
    )


def check_workers(workload: str | Workload | None, farm: FarmSettings) -> None:
    """Refuse to have workers measure a workload that they cannot be told of.

    Raises:
        BenchError: it is an object, and somebody else than this process is to measure.
    """
    if isinstance(workload, Workload) and (farm.jobs != 1 or farm.backend is not None):
        raise BenchError(
            "workers cannot be told of a workload that is an object: name the function that "
            "returns it, as package.module:function, or let one job measure"
        )


@contextmanager
def measured(
    measurer: Measurer,
    configurations: NDArray[np.int8],
    fingerprint: str,
    out: Path,
    farm: FarmSettings,
    *,
    progress: bool,
) -> Iterator[Found]:
    """Measure configurations, and discard what was kept of it once its file is written.

    Args:
        measurer: who measures.
        configurations: int8 (n, entries).
        fingerprint: sha256 of all settings that decide the results.
        out: the file; beside it lies what a killed call has measured.
        farm: who measures.
        progress: show a bar with the time left.

    Yields:
        What is kept of each, (n, length), in the measurer's form.
    """
    partial = out.with_name(f"{out.name}.partial")
    code = code_sha256("gp_emq.mqbench._measure", *measurer.recipe.modules)
    learned = out.with_name(f"{out.name}.rounding-{fingerprint[:12]}-{code[:12]}")
    measurer.keep_roundings(learned)
    check_output_folder(learned)
    width = configurations.shape[1]
    with partial_results(partial, fingerprint, code, entries=width, form=measurer.form) as results:
        _learn_all(measurer, farm, progress=progress)
        todo = [c for c in configurations if c.tobytes() not in results.measured]
        _measure_all(measurer, todo, results, farm, progress=progress)
        yield np.stack([results.measured[c.tobytes()] for c in configurations])
        measurer.learned.discard()
        results.discard()


def _seconds(measurer: Measurer, selection: Selection) -> float:
    """Measure some configurations again: processor seconds of one, without what is set up once."""
    measurer.measure(selection.configurations[0])
    again = selection.configurations[:_TIMED]
    start = time.process_time()
    for configuration in again:
        measurer.measure(configuration)
    return round((time.process_time() - start) / len(again), 4)


def _learn_all(measurer: Measurer, farm: FarmSettings, *, progress: bool) -> None:
    """Learn the roundings that serve every configuration, those that are not there yet."""
    todo = [task for task in measurer.rounding_tasks() if not measurer.is_learned(*task)]
    # Roundings are learned on the processor, whatever measures afterwards.
    job = RoundingJob(replace(measurer.settings, device="cpu"), measurer.learned.folder)
    with _bar(len(todo), 0, "rounding", progress=progress and bool(todo)) as bar:
        for _ in _farmed([job], todo, replace(farm, devices=("cpu",)), measurer):
            bar.update()


def _measure_all(
    measurer: Measurer,
    todo: Sequence[NDArray[np.int8]],
    results: PartialResults,
    farm: FarmSettings,
    *,
    progress: bool,
) -> None:
    done, folder = len(results.measured), measurer.learned.folder
    jobs = [
        MeasurementJob(replace(measurer.settings, device=device), folder) for device in farm.devices
    ]
    items = [tuple(int(width) for width in configuration) for configuration in todo]
    with _bar(done + len(todo), done, "configuration", progress=progress) as bar:
        for place, found in _farmed(jobs, items, farm, measurer):
            results.add(todo[place], found)
            bar.update()


def _farmed(
    variants: Sequence[Job[T, R]], items: Sequence[T], settings: FarmSettings, measurer: Measurer
) -> Iterator[tuple[int, R]]:
    """Do items one at a time, here or by workers, and give each result as it comes."""
    backend, jobs = settings.chosen(len(measurer.test) * values_per_sample(measurer.test.samples))
    if backend is not None and jobs is not None:
        jobs = max(1, min(jobs, len(items)))
    with Farm(
        variants,
        jobs=jobs,
        backend=backend,
        scheduler=settings.scheduler,
        task_timeout=settings.task_timeout,
    ) as farm:
        yield from farm.stream(items, items_per_task=1)


def _bar(total: int, done: int, unit: str, *, progress: bool) -> "tqdm[Any]":
    return tqdm(total=total, initial=done, unit=unit, disable=not progress, dynamic_ncols=True)


def _fingerprint(provenance: dict[str, Any], bits: Sequence[int]) -> str:
    text = json.dumps([provenance, list(bits)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, fingerprint: str, network: Network) -> Bench:
    bench = read_bench(out)
    if bench.provenance.get("fingerprint") != fingerprint:
        raise BenchError(f"{out} holds a bench with other settings: remove it, or write elsewhere")
    check_layers(bench, network.layers, network.name)
    out.with_name(f"{out.name}.partial").unlink(missing_ok=True)
    return bench
