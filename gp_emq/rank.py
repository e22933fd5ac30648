"""Rank every known proxy on a bench: ``python -m gp_emq.rank --bench digits``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from gp_emq.command import KEPT_STATISTICS, resumption, run_command
from gp_emq.errors import GpEmqError
from gp_emq.mqbench import list_benches
from gp_emq.options import OptionParser, add_workload_option, not_negative, positive, seed
from gp_emq.outputs import OutputFolder
from gp_emq.proxies import ALIGNED, AS_PUBLISHED, EVOLVED, FORMS, Proxy
from gp_emq.proxies.handcrafted import HANDCRAFTED, handcrafted_proxy
from gp_emq.proxies.loading import (
    expression_proxy,
    load_proxy,
    shipped_names,
    shipped_proxy,
)
from gp_emq.ranking import (
    FORMATS,
    SPLITS,
    RankedBench,
    Ranking,
    RankOptions,
    Spread,
    format_rankings,
    format_spreads,
    rank,
    rank_as_published,
)
from gp_emq.statistics import default_cache


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: Command line; ``sys.argv`` if None.

    Returns:
        Exit status 0.

    Raises:
        GpEmqError: What was asked for is unknown, missing or damaged.
    """
    options = _parser().parse_args(arguments)
    with resumption(lambda: "" if options.no_cache else KEPT_STATISTICS):
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    if options.list_proxies:
        for proxy in HANDCRAFTED.values():
            sys.stdout.write(f"{proxy.name:22} {proxy.family:11} {proxy.description}\n")
        for name in shipped_names():
            sys.stdout.write(f"{name:22} {EVOLVED:11} {shipped_proxy(name).formula}\n")
        return 0
    proxies = _proxies(options)
    if len(set(options.bench)) < len(options.bench):
        raise GpEmqError(f"--bench names a bench twice: {' '.join(options.bench)}")
    if len(options.bench) > 1 and (
        options.weights or options.data or options.network or options.workload
    ):
        raise GpEmqError(
            "--network, --workload, --weights and --data belong to one bench; rank several "
            "without them"
        )
    targets = [
        RankedBench.load(
            name,
            weights=options.weights,
            data=options.data,
            network=options.network,
            workload=options.workload,
            cache=None if options.no_cache else default_cache(),
        )
        for name in options.bench
    ]
    with tqdm(
        total=len(targets) * len(proxies),
        file=sys.stderr,
        unit="proxy",
        disable=options.quiet,
        leave=False,
    ) as bar:
        if options.protocol == AS_PUBLISHED:
            text = _published(targets, proxies, options, bar)
        else:
            rankings = [_rank(target, proxies, options, bar) for target in targets]
            text = format_rankings(rankings, options.format)
            if options.plot is not None:
                _plot(rankings, options.plot)
    sys.stdout.write(text)
    return 0


def _proxies(options: argparse.Namespace) -> list[Proxy]:
    """Collect what is to be ranked, under distinct names."""
    everything = (*HANDCRAFTED, *shipped_names())
    known = everything if options.proxies == "all" else filter(None, options.proxies.split(","))
    found = [
        shipped_proxy(name) if name in shipped_names() else handcrafted_proxy(name)
        for name in known
    ]
    found += [load_proxy(path, primitives=options.primitives) for path in options.run]
    found += [expression_proxy(text) for text in options.expression]
    names: dict[str, int] = {}
    distinct = []
    for proxy in found:
        count = names[proxy.name] = names.get(proxy.name, 0) + 1
        distinct.append(proxy if count == 1 else replace(proxy, name=f"{proxy.name}-{count}"))
    if not distinct:
        raise GpEmqError("there is nothing to rank; give --proxies, --run or --expression")
    return distinct


def _rank(
    target: RankedBench,
    proxies: list[Proxy],
    options: argparse.Namespace,
    bar: "tqdm[NoReturn]",
) -> Ranking:
    def done(name: str) -> None:
        bar.set_postfix_str(f"{target.bench.name}: {name}")
        bar.update()

    return rank(
        target,
        proxies,
        RankOptions(
            split=options.split,
            resamples=options.resamples,
            seed=options.seed,
            calibration_repeats=options.calibration_repeats,
            form=options.form,
        ),
        done,
    )


def _published(
    targets: list[RankedBench],
    proxies: list[Proxy],
    options: argparse.Namespace,
    bar: "tqdm[NoReturn]",
) -> str:
    spreads: list[tuple[Spread, ...]] = []
    for target in targets:

        def done(name: str, bench: str = target.bench.name) -> None:
            bar.set_postfix_str(f"{bench}: {name}")
            bar.update()

        spreads.append(
            rank_as_published(
                target,
                proxies,
                samples=options.samples,
                repeats=options.repeats,
                seed=options.seed,
                progress=done,
            )
        )
    title = (
        f"as published: untrained network, published forms, {options.samples} configurations drawn "
        f"with replacement from the whole bench; mean and middle 95 % of {options.repeats} draws"
    )
    names = [target.bench.name for target in targets]
    return format_spreads(names, spreads, title, options.format)


def _plot(rankings: list[Ranking], folder: Path) -> None:
    from analysis.ranking import make_ranking_figures  # noqa: PLC0415 - matplotlib is slow

    for path in make_ranking_figures(rankings, folder):
        sys.stderr.write(f"figure: {path}\n")


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(
        prog="python -m gp_emq.rank",
        description="Measure how well proxies rank the measured bit configurations of a bench. "
        "The result goes to standard output, everything else to standard error.",
    )
    what = parser.add_argument_group("what to rank")
    what.add_argument(
        "--bench",
        nargs="+",
        default=["digits"],
        metavar="NAME|FILE",
        help="benches; several give a matrix and a mean rank (default: digits; there are "
        f"{', '.join(list_benches())})",
    )
    what.add_argument(
        "--network",
        metavar="MODULE:FACTORY",
        help="the network of a bench of one's own, which the bench's file cannot run",
    )
    add_workload_option(what)
    what.add_argument(
        "--weights", type=Path, metavar="FILE", help="the network's weights, where it needs them"
    )
    what.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="PATH", help="its images, likewise"
    )
    what.add_argument(
        "--proxies",
        default="all",
        metavar="all|A,B,...",
        help="hand-crafted proxies (default: all); --list-proxies shows them",
    )
    what.add_argument(
        "--run",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="RUN",
        help="runs, or hall_of_fame.json files, whose recommended formula is ranked too",
    )
    what.add_argument(
        "--primitives",
        metavar="FILE.py",
        help="the primitive set of one's own that the runs were made with",
    )
    what.add_argument(
        "--expression",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]EXPRESSION",
        help="typed expressions to rank too; the training configurations give their sign",
    )
    how = parser.add_argument_group("how to rank")
    how.add_argument(
        "--split", choices=SPLITS, default="test", help="which configurations (default: test)"
    )
    how.add_argument(
        "--form",
        choices=FORMS,
        default=ALIGNED,
        help="hand-crafted proxies as their papers derive them, or as the public ranking scripts "
        "compute them (default: aligned)",
    )
    how.add_argument(
        "--protocol",
        choices=FORMS,
        default=ALIGNED,
        help="as-published repeats the whole published procedure: untrained network, published "
        "forms, few configurations drawn with replacement (default: aligned)",
    )
    how.add_argument(
        "--samples", type=positive, default=50, metavar="N",
        help="configurations of one published draw (default: 50)",
    )  # fmt: skip
    how.add_argument(
        "--repeats", type=positive, default=100, metavar="N",
        help="published draws (default: 100)",
    )  # fmt: skip
    how.add_argument(
        "--calibration-repeats", type=not_negative, default=0, metavar="R",
        help="repeat with R random halves of the calibration batch and other probes",
    )  # fmt: skip
    how.add_argument(
        "--resamples", type=positive, default=1000, metavar="N",
        help="bootstrap resamples (default: 1000)",
    )  # fmt: skip
    how.add_argument("--seed", type=seed, default=0, metavar="N", help="of all draws (default: 0)")
    show = parser.add_argument_group("what to show")
    show.add_argument(
        "--format", choices=FORMATS, default="table", help="of the result (default: table)"
    )
    show.add_argument(
        "--plot",
        type=OutputFolder(),
        nargs="?",
        const=Path("figures"),
        metavar="FOLDER",
        help="draw scores against accuracy, and a bar chart (default folder: figures)",
    )
    show.add_argument("--quiet", action="store_true", help="no progress bar")
    show.add_argument("--list-proxies", action="store_true", help="list the proxies and exit")
    show.add_argument(
        "--no-cache", action="store_true", help="collect statistics anew and keep none on disk"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
