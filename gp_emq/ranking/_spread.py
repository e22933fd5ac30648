"""The procedure of the public ranking scripts, again and again: how much its figures vary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gp_emq.correlation import Figure, draw_weights, interval, rounded
from gp_emq.proxies import AS_PUBLISHED, Proxy
from gp_emq.ranking._bench import RankedBench
from gp_emq.ranking._measures import KENDALL, measures
from gp_emq.ranking._rank import check_rankable, falling
from gp_emq.ranking._scored import score


@dataclass(frozen=True)
class Spread:
    """How a proxy's figures vary when few configurations are drawn.

    Attributes:
        proxy: The proxy.
        figures: For each measure the mean over the repeats, with the 2.5 and 97.5 percentiles.
        note: Why there are none, else empty.
    """

    proxy: Proxy
    figures: dict[str, Figure]
    note: str

    @property
    def tau(self) -> float:
        """Mean Kendall tau, nan without scores."""
        return self.figures[KENDALL].value if self.figures else float("nan")


def rank_as_published(
    target: RankedBench,
    proxies: Sequence[Proxy],
    *,
    samples: int,
    repeats: int,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _name: None,
) -> tuple[Spread, ...]:
    """Repeat the procedure of the public ranking scripts.

    They compute the published forms on an untrained network, draw configurations with
    replacement from the whole bench, and report one draw.

    Args:
        target: The bench.
        proxies: The proxies.
        samples: Configurations of one draw.
        repeats: Draws.
        seed: Seed of the weights and of the draws.
        progress: Told the name of each proxy when it has been scored.

    Returns:
        One spread per proxy, by falling mean of Kendall's tau.

    Raises:
        GpEmqError: The bench has fewer than two configurations, or all have one accuracy.
    """
    chosen = target.indices("all")
    check_rankable(target, target.bench.oriented, "all")
    weights = draw_weights(len(chosen), samples, repeats, seed)
    inputs = target.untrained(seed).proxy_inputs()
    by_name = measures(target.bit_sums, target.sizes, target.pairs_at_equal_size(chosen))
    spreads = []
    for proxy in proxies:
        scored = score(proxy.form(AS_PUBLISHED), inputs, target.bench)
        figures: dict[str, Figure] = {}
        if scored.scores is not None:
            scores = rounded(scored.scores)
            for name, correlation in by_name.items():
                values = correlation(scores, target.bench.oriented, weights)
                defined = values[np.isfinite(values)]
                mean = float(defined.mean()) if defined.size else float("nan")
                figures[name] = Figure(mean, *interval(values))
        spreads.append(Spread(proxy, figures, scored.note))
        progress(proxy.name)
    return tuple(sorted(spreads, key=lambda spread: falling(spread.tau)))
