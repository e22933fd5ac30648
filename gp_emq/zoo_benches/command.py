"""The sub-commands `extend` and `zoo` of `python -m gp_emq.bench`."""

import argparse
import sys
from pathlib import Path

from gp_emq.cli._farm import add_farm_options, farm_settings
from gp_emq.command import resumption
from gp_emq.errors import BenchError
from gp_emq.mqbench import Bench, bench_quality, list_benches, load_bench
from gp_emq.networks import network_specifications
from gp_emq.options import positive
from gp_emq.outputs import OutputFile, OutputFolder
from gp_emq.proxies.loading import load_proxy
from gp_emq.statistics import default_cache
from gp_emq.zoo_benches._building import build_zoo_bench
from gp_emq.zoo_benches._extending import NEIGHBOURS, extend_bench
from gp_emq.zoo_benches._roster import find_benches


def add_extend(parser: argparse.ArgumentParser) -> None:
    """Say what `extend` takes."""
    parser.add_argument("bench", help="name of a bench, or a bench file")
    parser.add_argument(
        "--from",
        dest="sources",
        metavar="RUN|NAME|EXPRESSION",
        nargs="+",
        required=True,
        help="formulas whose plans are added: runs, hand-made proxies, expressions",
    )
    parser.add_argument(
        "--out", type=OutputFile(), help="the longer bench's file (default the bench file itself)"
    )
    parser.add_argument(
        "--neighbours",
        type=positive,
        default=NEIGHBOURS,
        help="of each plan, by one to three swaps (default %(default)s)",
    )
    parser.add_argument("--network", help="package.module:factory of a bench of one's own")
    parser.add_argument("--weights", type=Path, help="file of the network's weights")
    parser.add_argument("--data", type=Path, nargs="+", default=[], help="its images")
    add_farm_options(parser, task_timeout=None)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def add_zoo(parser: argparse.ArgumentParser) -> None:
    """Say what `zoo` takes."""
    parser.add_argument("name", nargs="*", help="of the benches (default all; --list lists them)")
    parser.add_argument("--list", action="store_true", help="the names, and stop")
    parser.add_argument(
        "--out", type=OutputFolder(), default=Path(), help="folder (default the present one)"
    )
    add_farm_options(parser, task_timeout=None)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def extend(arguments: argparse.Namespace) -> None:
    """Add the plans of formulas to a bench.

    Raises:
        GpEmqError: The bench cannot be measured further, or a formula has no plan.
    """
    bench = load_bench(arguments.bench)
    if arguments.out is None and arguments.bench in list_benches():
        raise BenchError(f"{arguments.bench} ships with the package: give --out FILE")
    out = arguments.out or Path(arguments.bench)
    with resumption(
        lambda: (
            "what is measured is kept beside the bench file: the same command goes on from there"
        )
    ):
        longer = extend_bench(
            bench,
            [load_proxy(source) for source in arguments.sources],
            out,
            neighbours=arguments.neighbours,
            weights=arguments.weights,
            data=arguments.data,
            network=arguments.network,
            cache=default_cache(),
            farm=farm_settings(arguments),
            progress=not arguments.quiet and sys.stderr.isatty(),
        )
    added = len(longer.accuracies) - len(bench.accuracies)
    if added:
        print(f"{out}: {added} configurations more, {len(longer.accuracies)} of {bench.network}")
    else:
        print(f"{arguments.bench}: it has all those plans, and nothing was written")


def zoo(arguments: argparse.Namespace) -> None:
    """Measure benches of the zoo, one by one; those that are there are read.

    Raises:
        GpEmqError: There is none of a name, or images are missing.
    """
    benches = find_benches(arguments.name)
    if arguments.list:
        sys.stdout.writelines(f"{bench.name}\n" for bench in benches)
        return
    folder, farm = arguments.out, farm_settings(arguments)
    known = {specification.name for specification in network_specifications()}
    for zoo_bench in benches:
        if zoo_bench.network not in known:
            print(f"{zoo_bench.name}: {zoo_bench.network} has no weights yet", flush=True)
            continue
        with resumption(lambda: f"the same command goes on from what {folder} holds"):
            made = build_zoo_bench(
                zoo_bench,
                folder,
                cache=default_cache(),
                farm=farm,
                progress=not arguments.quiet and sys.stderr.isatty(),
            )
        print(f"{zoo_bench.name}: {_told(made)}", flush=True)


def _told(bench: Bench) -> str:
    quality = bench_quality(bench)
    return (
        f"{len(bench.accuracies)} configurations, mean {100 * quality.mean:.1f} %, "
        f"{100 * bench.accuracies.min():.1f} to {100 * bench.accuracies.max():.1f} %, "
        f"noise ceiling {quality.noise_ceiling:.3f}, "
        f"{bench.provenance['processor_seconds']:.2f} processor seconds each"
    )
