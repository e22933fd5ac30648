"""`python -m gp_emq.bench`: build, show, list and import benches."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gp_emq.cli._farm import add_farm_options, farm_settings
from gp_emq.cli._options import add_workload
from gp_emq.command import resumption, run_command
from gp_emq.errors import BenchError
from gp_emq.mqbench import (
    PROTOCOLS,
    MeasurementSettings,
    Measurer,
    build_bench,
    choose_arithmetic,
    describe_bench,
    find_protocol,
    import_bench,
    list_benches,
    load_bench,
    overview,
    plot_bench,
    write_bench,
)
from gp_emq.networks import TOP_1
from gp_emq.networks.zoo import part_of
from gp_emq.options import OptionParser, positive, seed
from gp_emq.outputs import PICTURES, OutputFile
from gp_emq.quantization import MAX_BITS, MIN_BITS, SCALE_RULES
from gp_emq.statistics import default_cache
from gp_emq.zoo_benches import plan_selection
from gp_emq.zoo_benches.command import add_extend, add_zoo, extend, zoo


def main(given: Sequence[str] | None = None) -> int:
    """Run one of the sub-commands.

    Args:
        given: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0.

    Raises:
        GpEmqError: What was asked for is unknown, missing or does not fit.
    """
    arguments = _parser().parse_args(given)
    commands = {
        "build": _build,
        "extend": extend,
        "zoo": zoo,
        "uniform": _uniform,
        "show": _show,
        "list": _list,
        "import": _import,
    }
    commands[arguments.command](arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="python -m gp_emq.bench",
        description="Benches: bit configurations with the accuracies they really give.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="measure a new bench")
    _add_measurement(build)
    _add_running(build)
    _add_measurement(
        commands.add_parser("uniform", help="accuracy of the float network and of uniform widths")
    )
    add_extend(commands.add_parser("extend", help="add the plans of formulas to a bench"))
    add_zoo(commands.add_parser("zoo", help="measure the benches of the zoo, one by one"))
    show = commands.add_parser("show", help="what a bench holds and what it can tell")
    show.add_argument("bench", help="name of a bench, or a bench file")
    show.add_argument(
        "--network", help="package.module:factory of a bench of one's own, for --plot"
    )
    add_workload(show)
    show.add_argument(
        "--plot",
        type=OutputFile(PICTURES),
        metavar="FILE",
        help=f"draw accuracy against size ({', '.join(PICTURES)})",
    )
    listed = commands.add_parser("list", help="the benches that ship with the package")
    listed.add_argument(
        "--table", action="store_true", help="what each can tell, as a Markdown table"
    )
    _add_import(commands.add_parser("import", help="read MQ-Bench-101 as it was published"))
    return parser


def _add_measurement(build: argparse.ArgumentParser) -> None:
    what = build.add_argument_group("what is measured")
    what.add_argument("--network", help="registered name, or package.module:factory")
    add_workload(what)
    what.add_argument("--weights", type=Path, help="file of the network's weights")
    what.add_argument(
        "--data",
        type=Path,
        nargs="+",
        default=[],
        help="files or folders of images, or an .npz of x float32 (n,C,H,W) and perhaps y",
    )
    what.add_argument("--bits", default="2,3,4", help="bit choices (default %(default)s)")
    what.add_argument("--test-images", type=positive, help="how many (default all)")
    what.add_argument("--seed", type=seed, default=0, help="of all draws (default %(default)s)")
    how = build.add_argument_group("how it is measured")
    how.add_argument(
        "--protocol",
        default="rtn+bn",
        help="; ".join(f"{p.name}: {p.description}" for p in PROTOCOLS) + " (default %(default)s)",
    )
    how.add_argument("--calibration-images", type=positive, help="instead of the protocol's number")
    how.add_argument("--iterations", type=positive, help="of learned rounding")
    how.add_argument("--scale-rule", choices=SCALE_RULES, help="of the weights")
    how.add_argument("--symmetric", action=argparse.BooleanOptionalAction, help="weights")
    how.add_argument("--per-channel", action=argparse.BooleanOptionalAction, help="weights")
    how.add_argument(
        "--arithmetic",
        default="auto",
        help="integer: oneDNN's 8-bit convolution; float; auto: integer where there is one",
    )


def _add_running(build: argparse.ArgumentParser) -> None:
    running = build.add_argument_group("running")
    running.add_argument(
        "--configs",
        type=positive,
        default=425,
        help="configurations to measure (default %(default)s)",
    )
    running.add_argument(
        "--configurations",
        choices=("random", "plans"),
        default="random",
        help="plans: a third random, a third random in narrow bands of size, and a third plans of "
        "hand-made proxies at many budgets with their neighbours (default %(default)s)",
    )
    running.add_argument("--out", type=OutputFile(), required=True, help="the bench file")
    running.add_argument("--name", help="of the bench (default the file's name)")
    add_farm_options(running, task_timeout=None)
    running.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="the published pickle, or its text form")
    parser.add_argument("--out", type=OutputFile(), required=True, help="the bench file")
    parser.add_argument("--name", help="of the bench (default the file's name)")
    parser.add_argument("--network", default="resnet18", help="(default %(default)s)")
    parser.add_argument(
        "--test-images",
        type=positive,
        default=50_000,
        help="behind its accuracies (default %(default)s)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the split (default %(default)s)")


def _build(arguments: argparse.Namespace) -> None:
    farm = farm_settings(arguments)
    settings = _settings(arguments)
    if farm.devices != ("cpu",):
        arithmetic = choose_arithmetic(settings.protocol, "float")
        settings = replace(settings, device=farm.devices[0], arithmetic=arithmetic)
    with resumption(
        lambda: (
            "what is measured is kept beside the bench file: the same command goes on from there"
        )
    ):
        selection = None
        if arguments.configurations == "plans":
            selection = plan_selection(settings, arguments.configs, default_cache())
        bench = build_bench(
            settings,
            count=arguments.configs,
            selection=selection,
            out=arguments.out,
            name=arguments.name,
            farm=farm,
            progress=not arguments.quiet and sys.stderr.isatty(),
        )
    print(f"{arguments.out}: {len(bench.accuracies)} configurations of {bench.network}")


def _uniform(arguments: argparse.Namespace) -> None:
    settings = _settings(arguments)
    measurer = Measurer(settings)
    metric = measurer.test.metric

    def tell(value: float) -> str:
        return f"{100 * value:.2f} %" if metric is TOP_1 else f"{metric.name} {value:.6g}"

    print(f"float   {tell(measurer.float_accuracy())}", flush=True)
    for bits in settings.bits:
        print(f"{bits} bits  {tell(measurer.uniform_accuracy(bits))}", flush=True)


def _settings(arguments: argparse.Namespace) -> MeasurementSettings:
    protocol = find_protocol(arguments.protocol).with_options(
        symmetric=arguments.symmetric,
        per_channel=arguments.per_channel,
        scale_rule=arguments.scale_rule,
        calibration_images=arguments.calibration_images,
        iterations=arguments.iterations,
    )
    arithmetic = choose_arithmetic(protocol, arguments.arithmetic)
    if arguments.workload is not None:
        if arguments.network is not None or arguments.data:
            raise BenchError("--workload brings network and data along: give it without them")
        arithmetic = "float" if arguments.arithmetic == "auto" else arithmetic
    elif arguments.network is None:
        raise BenchError("there is no network: give --network or --workload")
    return MeasurementSettings(
        network=arguments.network or arguments.workload,
        weights=arguments.weights,
        data=tuple(arguments.data),
        protocol=protocol,
        bits=_parse_bits(arguments.bits),
        tests=arguments.test_images,
        seed=arguments.seed,
        arithmetic=arithmetic,
        workload=arguments.workload,
    )


def _show(arguments: argparse.Namespace) -> None:
    bench = load_bench(arguments.bench)
    if arguments.plot is not None:
        plot_bench(bench, arguments.plot, arguments.network, arguments.workload)
    print(describe_bench(bench))
    if arguments.plot is not None:
        print(f"drawn: {arguments.plot}")


def _list(arguments: argparse.Namespace) -> None:
    names = list_benches()
    if arguments.table:
        print(overview([load_bench(name) for name in names]))
        return
    width = max(map(len, names), default=0)
    for name in names:
        bench = load_bench(name)
        print(
            f"{name:<{width}}  {bench.network}, {len(bench.entries)} entries, {bench.protocol}, "
            f"{len(bench.accuracies)} configurations, {bench.images} test images"
            + (f", {part} network" if (part := part_of(bench.network)) else "")
        )


def _import(arguments: argparse.Namespace) -> None:
    bench = import_bench(
        arguments.file,
        name=arguments.name,
        network=arguments.network,
        images=arguments.test_images,
        seed=arguments.seed,
    )
    write_bench(bench, arguments.out)
    repeated = bench.provenance["repeated"]
    print(
        f"{arguments.out}: {len(bench.accuracies)} configurations of {bench.network}"
        + (f", {repeated} repetitions averaged" if repeated else "")
    )


def _parse_bits(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and MIN_BITS <= int(part) <= MAX_BITS for part in parts):
        raise BenchError(
            f"--bits must be widths of {MIN_BITS} to {MAX_BITS} as in 2,3,4, not {text!r}"
        )
    return tuple(sorted({int(part) for part in parts}))


if __name__ == "__main__":
    run_command(main)
