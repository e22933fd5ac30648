"""The proxies whose plans race where none is asked for."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

from gp_emq.measured._names import CONTENDERS, PAIRED
from gp_emq.proxies import Proxy
from gp_emq.proxies.loading import expression_proxy, load_proxy


def contenders() -> dict[str, Proxy]:
    """Give the proxies that race by default, by name: those of `CONTENDERS`, then their pairs.

    A pair is the sum of two harms of `PAIRED`, each as the root of its share of its range over the
    table: what one of them overlooks the other may see, and a harm that outweighs all others weighs
    less. The proxies alone need all that pairs need, so that pairs cost no statistics.
    """
    alone = {name: load_proxy(name) for name in CONTENDERS}
    return alone | {proxy.name: proxy for proxy in _pairs()}


def _pairs() -> Iterator[Proxy]:
    """Give the sums of two harms."""
    for one, other in itertools.combinations(PAIRED, 2):
        terms = (f"sqrt(min_max({PAIRED[name]}))" for name in (one, other))
        summed = expression_proxy(f"{one}+{other}=add({', '.join(terms)})")
        yield replace(summed, sign=-1)
