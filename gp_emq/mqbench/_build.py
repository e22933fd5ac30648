"""Building a bench: sample, measure, write; resumable, and the same for any number of jobs."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm import tqdm

from gp_emq.errors import BenchError
from gp_emq.mqbench._bench import Bench
from gp_emq.mqbench._file import read_bench, write_bench
from gp_emq.mqbench._measure import MeasurementSettings, Measurer, measurer_of
from gp_emq.mqbench._partial import PartialResults, partial_results
from gp_emq.mqbench._sampling import sample_configurations, split_configurations
from gp_emq.networks import entry_layers

T = TypeVar("T")
R = TypeVar("R")


def build_bench(
    settings: MeasurementSettings,
    *,
    count: int,
    out: Path,
    name: str | None = None,
    jobs: int = 1,
    devices: Sequence[str] = ("cpu",),
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
        jobs: processes that measure.
        devices: where they measure; they take turns. All of one kind, that of the settings.
        progress: show a bar with the time left.

    Returns:
        The bench, as written.

    Raises:
        BenchError: if `out` holds another bench, or cannot be written.
        GpEmqError: if network, weights or images are missing or do not fit.
    """
    if not out.parent.is_dir():
        raise BenchError(f"no folder {out.parent} to write {out.name} into")
    if jobs < 1:
        raise BenchError(f"--jobs must be at least 1, not {jobs}")
    measurer = measurer_of(settings)
    entries = entry_layers(measurer.network.layers)
    configurations = sample_configurations(count, len(entries), settings.bits, (settings.seed, 0))
    provenance = {**measurer.provenance(), "configurations": count}
    fingerprint = _fingerprint(provenance, settings.bits)
    if out.exists():
        return _finished(out, fingerprint)
    learned = out.with_name(f"{out.name}.rounding-{fingerprint[:12]}")
    measurer.keep_roundings(learned)
    with partial_results(out.with_name(f"{out.name}.partial"), fingerprint) as results:
        _learn_all(measurer, jobs=jobs, progress=progress)
        todo = [c for c in configurations if c.tobytes() not in results.measured]
        _measure_all(measurer, todo, results, jobs=jobs, devices=devices, progress=progress)
        correct = np.stack([results.measured[c.tobytes()] for c in configurations])
        images = len(measurer.test.labels)
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


def _learn_all(measurer: Measurer, *, jobs: int, progress: bool) -> None:
    """Learn the roundings that serve every configuration, those that are not there yet."""
    todo = [task for task in measurer.rounding_tasks() if measurer.kept_rounding(*task) is None]
    with _bar(len(todo), 0, "rounding", progress=progress and bool(todo)) as bar:
        for _ in _farmed(measurer, _learn_one, todo, jobs, ["cpu"]):
            bar.update()


def _measure_all(
    measurer: Measurer,
    todo: Sequence[NDArray[np.int8]],
    results: PartialResults,
    *,
    jobs: int,
    devices: Sequence[str],
    progress: bool,
) -> None:
    done = len(results.measured)
    with _bar(done + len(todo), done, "configuration", progress=progress) as bar:
        for configuration, packed in _farmed(measurer, _measure_one, todo, jobs, devices):
            results.add(configuration, packed)
            bar.update()


def _learn_one(measurer: Measurer, task: tuple[int, int]) -> None:
    measurer.learned_weight(*task)


def _measure_one(
    measurer: Measurer, configuration: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    return configuration, measurer.measure(configuration)


def _farmed(
    measurer: Measurer,
    work: Callable[[Measurer, T], R],
    todo: Sequence[T],
    jobs: int,
    devices: Sequence[str],
) -> Iterator[R]:
    """Do each piece of work, in this process or in several, yielding results as they come."""
    if jobs == 1 or len(todo) < 2:
        for item in todo:
            yield work(measurer, item)
        return
    parallel = Parallel(n_jobs=min(jobs, len(todo)), return_as="generator_unordered", batch_size=1)
    folder = measurer.learned.folder
    variants = [replace(measurer.settings, device=device) for device in devices]
    yield from parallel(
        delayed(_in_worker)(variants[turn % len(variants)], folder, work, item)
        for turn, item in enumerate(todo)
    )


def _in_worker(
    settings: MeasurementSettings, folder: Path | None, work: Callable[[Measurer, T], R], item: T
) -> R:
    # Images and networks are loaded once in each process, never sent to it.
    measurer = measurer_of(settings)
    measurer.keep_roundings(folder)
    return work(measurer, item)


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
