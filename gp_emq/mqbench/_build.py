"""Building a bench: sample, measure, write; resumable, and the same for any number of jobs."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


def build_bench(
    settings: MeasurementSettings,
    *,
    count: int,
    out: Path,
    name: str | None = None,
    jobs: int = 1,
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
    with partial_results(out.with_name(f"{out.name}.partial"), fingerprint) as results:
        todo = [c for c in configurations if c.tobytes() not in results.measured]
        _measure_all(settings, todo, results, jobs=jobs, progress=progress, total=count)
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
        results.discard()
    return bench


def _measure_all(
    settings: MeasurementSettings,
    todo: Sequence[NDArray[np.int8]],
    results: PartialResults,
    *,
    jobs: int,
    progress: bool,
    total: int,
) -> None:
    with tqdm(
        total=total,
        initial=total - len(todo),
        unit="configuration",
        disable=not progress,
        dynamic_ncols=True,
    ) as bar:
        for configuration, packed in _measured(settings, todo, jobs):
            results.add(configuration, packed)
            bar.update()


def _measured(
    settings: MeasurementSettings, todo: Sequence[NDArray[np.int8]], jobs: int
) -> Iterator[tuple[NDArray[np.int8], NDArray[np.uint8]]]:
    if jobs == 1 or len(todo) < 2:
        measurer: Measurer = measurer_of(settings)
        for configuration in todo:
            yield configuration, measurer.measure(configuration)
        return
    parallel = Parallel(n_jobs=min(jobs, len(todo)), return_as="generator_unordered", batch_size=1)
    yield from parallel(delayed(_measure_one)(settings, configuration) for configuration in todo)


def _measure_one(
    settings: MeasurementSettings, configuration: NDArray[np.int8]
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    return configuration, measurer_of(settings).measure(configuration)


def _fingerprint(provenance: dict[str, Any], bits: Sequence[int]) -> str:
    text = json.dumps([provenance, list(bits)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, fingerprint: str) -> Bench:
    bench = read_bench(out)
    if bench.provenance.get("fingerprint") != fingerprint:
        raise BenchError(f"{out} holds a bench with other settings: remove it, or write elsewhere")
    out.with_name(f"{out.name}.partial").unlink(missing_ok=True)
    return bench
