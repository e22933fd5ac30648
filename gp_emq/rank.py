"""Rank every known proxy on a bench: ``python -m gp_emq.rank --bench digits``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tqdm import tqdm

from gp_emq import proxies, ranking, statistics
from gp_emq.cli._rank import RankSettings, read_rank
from gp_emq.columns import terminal_width
from gp_emq.command import KEPT_STATISTICS, resumption, run_command
from gp_emq.errors import GpEmqError
from gp_emq.proxies import AS_PUBLISHED
from gp_emq.proxies.handcrafted import DESCRIPTIONS
from gp_emq.proxies.shipped import WHOLE, shipped_files

if TYPE_CHECKING:
    from gp_emq.proxies import Proxy
    from gp_emq.ranking import RankedBench, Ranking, Spread


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; give 0, its exit status."""
    settings = read_rank(arguments)
    with resumption(lambda: "" if settings.no_cache else KEPT_STATISTICS):
        sys.stdout.write(_ranked(settings))
    return 0


def _ranked(settings: RankSettings) -> str:
    candidates = _proxies(settings)
    targets = [
        ranking.RankedBench.load(
            name,
            weights=settings.weights,
            data=settings.data,
            network=settings.network,
            workload=settings.workload,
            cache=None if settings.no_cache else statistics.default_cache(),
        )
        for name in settings.bench
    ]
    with tqdm(
        total=len(targets) * len(candidates),
        file=sys.stderr,
        unit="proxy",
        disable=settings.quiet,
        leave=False,
    ) as bar:
        if settings.protocol == AS_PUBLISHED:
            return _published(targets, candidates, settings, bar)
        rankings = [_rank(target, candidates, settings, bar) for target in targets]
    if settings.plot is not None:
        _plot(rankings, settings.plot)
    return ranking.format_rankings(rankings, settings.format, _width(settings))


def _proxies(settings: RankSettings) -> "list[Proxy]":
    """Collect what is to be ranked, under distinct names."""
    loading, shipped = proxies.loading, shipped_files()
    everything = (*DESCRIPTIONS, *shipped)
    known = everything if settings.proxies == "all" else filter(None, settings.proxies.split(","))
    found = [
        loading.shipped_proxy(name)
        if name in (*shipped, *WHOLE)
        else proxies.handcrafted.handcrafted_proxy(name)
        for name in known
    ]
    found += [loading.load_proxy(path, primitives=settings.primitives) for path in settings.run]
    found += [loading.expression_proxy(text) for text in settings.expression]
    names: dict[str, int] = {}
    distinct = []
    for proxy in found:
        count = names[proxy.name] = names.get(proxy.name, 0) + 1
        distinct.append(proxy if count == 1 else replace(proxy, name=f"{proxy.name}-{count}"))
    if not distinct:
        raise GpEmqError("there is nothing to rank; give --proxies, --run or --expression")
    return distinct


def _rank(
    target: "RankedBench",
    candidates: "list[Proxy]",
    settings: RankSettings,
    bar: "tqdm[NoReturn]",
) -> "Ranking":
    def done(name: str) -> None:
        bar.set_postfix_str(f"{target.bench.name}: {name}")
        bar.update()

    return ranking.rank(target, candidates, settings.how, done)


def _published(
    targets: "list[RankedBench]",
    candidates: "list[Proxy]",
    settings: RankSettings,
    bar: "tqdm[NoReturn]",
) -> str:
    spreads: list[tuple[Spread, ...]] = []
    for target in targets:

        def done(name: str, bench: str = target.bench.name) -> None:
            bar.set_postfix_str(f"{bench}: {name}")
            bar.update()

        spreads.append(
            ranking.rank_as_published(
                target,
                candidates,
                samples=settings.samples,
                repeats=settings.repeats,
                seed=settings.how.seed,
                progress=done,
            )
        )
    title = (
        f"as published: untrained network, published forms, {settings.samples} configurations "
        f"drawn with replacement from the whole bench; mean and middle 95 % of {settings.repeats} "
        "draws"
    )
    names = [target.bench.name for target in targets]
    return ranking.format_spreads(names, spreads, title, settings.format, _width(settings))


def _width(settings: RankSettings) -> int | None:
    return None if settings.wide else terminal_width()


def _plot(rankings: "list[Ranking]", folder: Path) -> None:
    from analysis.ranking import make_ranking_figures  # noqa: PLC0415 - matplotlib is slow

    for path in make_ranking_figures(rankings, folder):
        sys.stderr.write(f"figure: {path}\n")


if __name__ == "__main__":
    run_command(main)
