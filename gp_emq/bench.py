"""`python -m gp_emq.bench`: build, show, list and import benches."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gp_emq import mqbench, networks, proxies, statistics, zoo_benches
from gp_emq.cli._bench import Build, Extend, Import, List, Show, Uniform, Zoo, read_bench
from gp_emq.command import resumption, run_command
from gp_emq.errors import BenchError

if TYPE_CHECKING:
    from gp_emq.mqbench import Bench, MeasurementSettings

_KEPT = "what is measured is kept beside the bench file: the same command goes on from there"


def main(given: Sequence[str] | None = None) -> int:
    """Run one of the sub-commands; give 0, its exit status."""
    settings = read_bench(given)
    commands: Mapping[type, Callable[[Any], None]] = {
        Build: _build, Extend: _extend, Zoo: _zoo, Uniform: _uniform, Show: _show, List: _list,
        Import: _import,
    }  # fmt: skip
    commands[type(settings)](settings)
    return 0


def _build(asked: Build) -> None:
    farm, settings = asked.farm, _settings(asked)
    if farm.devices != ("cpu",):
        arithmetic = mqbench.choose_arithmetic(settings.protocol, "float")
        settings = replace(settings, device=farm.devices[0], arithmetic=arithmetic)
    with resumption(lambda: _KEPT):
        selection = None
        if asked.configurations == "plans":
            selection = zoo_benches.plan_selection(
                settings, asked.configs, statistics.default_cache()
            )
        bench = mqbench.build_bench(
            settings,
            count=asked.configs,
            selection=selection,
            out=asked.out,
            name=asked.name,
            farm=farm,
            progress=not asked.quiet and sys.stderr.isatty(),
        )
    print(f"{asked.out}: {len(bench.accuracies)} configurations of {bench.network}")


def _extend(asked: Extend) -> None:
    bench = mqbench.load_bench(asked.bench)
    if asked.out is None and asked.bench in mqbench.list_benches():
        raise BenchError(f"{asked.bench} ships with the package: give --out FILE")
    out = asked.out or Path(asked.bench)
    with resumption(lambda: _KEPT):
        longer = zoo_benches.extend_bench(
            bench,
            [proxies.loading.load_proxy(source) for source in asked.sources],
            out,
            neighbours=asked.neighbours,
            weights=asked.weights,
            data=asked.data,
            network=asked.network,
            workload=asked.workload,
            cache=statistics.default_cache(),
            farm=asked.farm,
            progress=not asked.quiet and sys.stderr.isatty(),
        )
    added = len(longer.accuracies) - len(bench.accuracies)
    if added:
        print(f"{out}: {added} configurations more, {len(longer.accuracies)} of {bench.network}")
    else:
        print(f"{asked.bench}: it has all those plans, and nothing was written")


def _zoo(asked: Zoo) -> None:
    benches = zoo_benches.find_benches(asked.name)
    if asked.list:
        sys.stdout.writelines(f"{bench.name}\n" for bench in benches)
        return
    folder = asked.out
    known = {specification.name for specification in networks.network_specifications()}
    for zoo_bench in benches:
        if zoo_bench.network not in known:
            print(f"{zoo_bench.name}: {zoo_bench.network} has no weights yet", flush=True)
            continue
        with resumption(lambda: f"the same command goes on from what {folder} holds"):
            made = zoo_benches.build_zoo_bench(
                zoo_bench,
                folder,
                cache=statistics.default_cache(),
                farm=asked.farm,
                progress=not asked.quiet and sys.stderr.isatty(),
            )
        print(f"{zoo_bench.name}: {_told(made)}", flush=True)


def _told(bench: "Bench") -> str:
    quality = mqbench.bench_quality(bench)
    return (
        f"{len(bench.accuracies)} configurations, mean {100 * quality.mean:.1f} %, "
        f"{100 * bench.accuracies.min():.1f} to {100 * bench.accuracies.max():.1f} %, "
        f"noise ceiling {quality.noise_ceiling:.3f}, "
        f"{bench.provenance['processor_seconds']:.2f} processor seconds each"
    )


def _uniform(asked: Uniform) -> None:
    settings = _settings(asked)
    measurer = mqbench.Measurer(settings)
    metric = measurer.test.metric

    def tell(value: float) -> str:
        return f"{100 * value:.2f} %" if metric is networks.TOP_1 else f"{metric.name} {value:.6g}"

    print(f"float   {tell(measurer.float_accuracy())}", flush=True)
    for bits in settings.bits:
        print(f"{bits} bits  {tell(measurer.uniform_accuracy(bits))}", flush=True)


def _settings(asked: Uniform) -> "MeasurementSettings":
    protocol = mqbench.find_protocol(asked.protocol).with_options(
        symmetric=asked.symmetric,
        per_channel=asked.per_channel,
        group=asked.scale_group,
        scale_rule=asked.scale_rule,
        calibration_images=asked.calibration_images,
        iterations=asked.iterations,
    )
    arithmetic = mqbench.choose_arithmetic(protocol, asked.arithmetic)
    if asked.workload is not None and asked.arithmetic == "auto":
        arithmetic = "float"
    return mqbench.MeasurementSettings(
        network=asked.network or asked.workload or "",
        weights=asked.weights,
        data=asked.data,
        protocol=protocol,
        bits=asked.bits,
        tests=asked.test_images,
        seed=asked.seed,
        arithmetic=arithmetic,
        workload=asked.workload,
    )


def _show(asked: Show) -> None:
    bench = mqbench.load_bench(asked.bench)
    if asked.plot is not None:
        from analysis.bench import write_bench_figure  # noqa: PLC0415 - matplotlib is slow

        write_bench_figure(bench, asked.plot, asked.network, asked.workload)
    print(mqbench.describe_bench(bench))
    if asked.plot is not None:
        print(f"drawn: {asked.plot}")


def _list(asked: List) -> None:
    names = mqbench.list_benches()
    if asked.table:
        print(mqbench.overview([mqbench.load_bench(name) for name in names]))
        return
    width = max(map(len, names), default=0)
    for name in names:
        bench = mqbench.load_bench(name)
        print(
            f"{name:<{width}}  {bench.network}, {len(bench.entries)} entries, {bench.protocol}, "
            f"{len(bench.accuracies)} configurations, {bench.images} test images"
            + (f", {part} network" if (part := networks.zoo.part_of(bench.network)) else "")
        )


def _import(asked: Import) -> None:
    bench = mqbench.import_bench(
        asked.file,
        name=asked.name,
        network=asked.network,
        images=asked.test_images,
        seed=asked.seed,
    )
    mqbench.write_bench(bench, asked.out)
    repeated = bench.provenance["repeated"]
    print(
        f"{asked.out}: {len(bench.accuracies)} configurations of {bench.network}"
        + (f", {repeated} repetitions averaged" if repeated else "")
    )


if __name__ == "__main__":
    run_command(main)
