"""Building a bench: sample, measure, write; resumable, and the same for any number of jobs."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gp_emq.errors import BenchError
from gp_emq.farm import Farm, FarmSettings, Job
from gp_emq.files import code_sha256
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._file import read_bench, write_bench
from gp_emq.mqbench._jobs import MeasurementJob, RoundingJob
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, measurer_of
from gp_emq.mqbench._partial import PartialResults, partial_results
from gp_emq.mqbench._sampling import sample_configurations, split_configurations
from gp_emq.networks import entry_layers
from gp_emq.outputs import check_output_file, check_output_folder

T = TypeVar("T")
R = TypeVar("R")


def build_bench(
    settings: MeasurementSettings,
    *,
    count: int,
    out: Path,
    name: str | None = None,
    farm: FarmSettings | None = None,
    progress: bool = False,
) -> Bench:
    """Sample bit configurations, measure each, and write the bench.

    Everything measured is appended at once to `<out>.partial`, so that a build that was
    killed goes on from there when it is started again.

    Args:
        settings: what is measured and how.
        count: number of configurations.
        out: the bench file.
        name: of the bench; by default the file's name without suffix.
        farm: who measures; None for this process alone. Its devices are of the settings' kind.
        progress: show a bar with the time left.

    Returns:
        The bench, as written.

    Raises:
        BenchError: if `out` holds another bench.
        RunError: if it cannot be written, or the disk is full.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    partial = out.with_name(f"{out.name}.partial")
    check_output_file(out)
    check_output_file(partial)
    farm = farm or FarmSettings(jobs=1, task_timeout=None)
    measurer = measurer_of(settings)
    entries = entry_layers(measurer.network.layers)
    configurations = sample_configurations(count, len(entries), settings.bits, (settings.seed, 0))
    provenance = {**measurer.provenance(), "configurations": count}
    fingerprint = _fingerprint(provenance, settings.bits)
    if out.exists():
        return _finished(out, fingerprint)
    images = len(measurer.test.labels)
    code = code_sha256("gp_emq.mqbench._measure", *measurer.recipe.modules)
    learned = out.with_name(f"{out.name}.rounding-{fingerprint[:12]}-{code[:12]}")
    measurer.keep_roundings(learned)
    check_output_folder(learned)
    with partial_results(
        partial, fingerprint, code, entries=len(entries), images=images
    ) as results:
        _learn_all(measurer, farm, progress=progress)
        todo = [c for c in configurations if c.tobytes() not in results.measured]
        _measure_all(measurer, todo, results, farm, progress=progress)
        correct = np.stack([results.measured[c.tobytes()] for c in configurations])
        bench = Bench(
            name=name or out.stem,
            network=settings.network,
            layers=tuple(layer.name for layer in measurer.network.layers),
            entries=entries,
            bits=settings.bits,
            protocol=settings.protocol.name,
            configurations=configurations,
            accuracies=np.unpackbits(correct, axis=1, count=images).mean(axis=1),
            correct=correct,
            images=images,
            split=split_configurations(count, (settings.seed, 1)),
            groups=measurer.test.groups,
            provenance={
                **provenance,
                "fingerprint": fingerprint,
                "float_accuracy": measurer.float_accuracy(),
            },
        )
        write_bench(bench, out)
        measurer.learned.discard()
        results.discard()
    return bench


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
        for place, packed in _farmed(jobs, items, farm, measurer):
            results.add(todo[place], packed)
            bar.update()


def _farmed(
    variants: Sequence[Job[T, R]], items: Sequence[T], settings: FarmSettings, measurer: Measurer
) -> Iterator[tuple[int, R]]:
    """Do items one at a time, here or by workers, and give each result as it comes."""
    backend, jobs = settings.chosen(measurer.test.images.numel())
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


def _finished(out: Path, fingerprint: str) -> Bench:
    bench = read_bench(out)
    if bench.provenance.get("fingerprint") != fingerprint:
        raise BenchError(f"{out} holds a bench with other settings: remove it, or write elsewhere")
    out.with_name(f"{out.name}.partial").unlink(missing_ok=True)
    return bench
