"""Choosing a bench's configurations where plans lie: random, at equal sizes, and near optima."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gp_emq.errors import BenchError
from gp_emq.mqbench import BAND, NEIGHBOUR, PLAN, RANDOM, Chosen, Selection
from gp_emq.networks import Layer
from gp_emq.zoo_benches._plans import SHARES, make_plans, sizes_of
from gp_emq.zoo_benches._swaps import Sizes, Widths, near_size, neighbour

MOST_SWAPS = 3
PLANS = 0.6
"""Share of plans among the configurations near optima."""
_FIRST = 3
"""Tables whose plans come before any others."""
_FAILURES = 200

_Plan = tuple[tuple[float, Widths], tuple[str, ...]]


class _Gathered:
    """Configurations that are chosen, each once."""

    def __init__(self, bits: Sequence[int]) -> None:
        self.bits = np.asarray(bits, dtype=np.int8)
        self.found: dict[Widths, Chosen] = {}

    def add(self, widths: Widths | None, chosen: Chosen) -> bool:
        """Take a configuration, unless it is there already or there is none."""
        if widths is None or widths in self.found:
            return False
        self.found[widths] = chosen
        return True

    def fill(self, count: int, draw: Callable[[int], tuple[Widths | None, Chosen]]) -> None:
        """Draw until there are so many more, or nothing new comes for long."""
        wanted, failures, place = len(self.found) + count, 0, 0
        while len(self.found) < wanted and failures < _FAILURES:
            failures = 0 if self.add(*draw(place)) else failures + 1
            place += 1

    def selection(self) -> Selection:
        """Give what was taken, in its order."""
        places = np.array(list(self.found), dtype=np.intp)
        return Selection(self.bits[places], tuple(self.found.values()))


def select_configurations(
    tables: Mapping[str, NDArray[np.float64]],
    layers: Sequence[Layer],
    bits: Sequence[int],
    *,
    count: int,
    seed: int,
) -> Selection:
    """Choose configurations: a third random, a third in bands of size, a third near optima.

    Of those near optima three fifths are plans, evenly over the budgets: at each the first
    tables' plans, then others at random; the rest are neighbours of theirs by one to three swaps
    at about equal size. Bands lie at the same sizes as the budgets.
    Where a network is too small for so many different ones, random ones take their places.

    Args:
        tables: By name of the proxy, float64 (entries, bits), oriented.
        layers: Of the network, in forward order.
        bits: The bit choices.
        count: How many.
        seed: Of all draws.

    Raises:
        BenchError: There are not so many different ones.
    """
    sizes = sizes_of(layers, bits)
    entries = len(sizes.table)
    if not 1 <= count <= len(bits) ** entries:
        raise BenchError(
            f"{count} configurations: there are 1 to {len(bits) ** entries} different ones"
        )
    generator = np.random.default_rng((seed, 2))
    gathered = _Gathered(bits)
    third = count // 3
    for (share, widths), names in _evenly(
        list(make_plans(tables, layers, bits).items()), generator
    ):
        if len(gathered.found) < round(third * PLANS):
            gathered.add(widths, Chosen(PLAN, names, share))
    _add_neighbours(gathered, sizes, third - len(gathered.found), generator)
    gathered.fill(
        third,
        lambda place: (
            near_size(sizes, SHARES[place % len(SHARES)], generator),
            Chosen(BAND, share=SHARES[place % len(SHARES)]),
        ),
    )
    while len(gathered.found) < count:
        widths = tuple(generator.integers(0, len(bits), entries).tolist())
        gathered.add(widths, Chosen(RANDOM))
    return gathered.selection()


def select_plans(
    tables: Mapping[str, NDArray[np.float64]],
    layers: Sequence[Layer],
    bits: Sequence[int],
    *,
    neighbours: int,
    seed: int,
) -> Selection:
    """Choose the plans of some tables at all budgets, and neighbours of each.

    Args:
        tables: As for `select_configurations`, and so are `layers`, `bits` and `seed`.
        layers: Of the network.
        bits: The bit choices.
        neighbours: How many of each plan; fewer where there are not so many.
        seed: Of the draws.
    """
    generator, gathered = np.random.default_rng((seed, 3)), _Gathered(bits)
    for (share, widths), names in make_plans(tables, layers, bits).items():
        gathered.add(widths, Chosen(PLAN, names, share))
    plans = len(gathered.found)
    _add_neighbours(gathered, sizes_of(layers, bits), neighbours * plans, generator)
    return gathered.selection()


def _add_neighbours(
    gathered: _Gathered, sizes: Sizes, count: int, generator: np.random.Generator
) -> None:
    """Add neighbours of the plans, one of each plan after the other, by one swap or more."""
    plans = list(gathered.found)

    def draw(place: int) -> tuple[Widths | None, Chosen]:
        near = place % len(plans)
        swaps = 1 + int(generator.integers(MOST_SWAPS))
        plan = plans[near]
        share = gathered.found[plan].share
        chosen = Chosen(NEIGHBOUR, share=share, near=near, swaps=swaps)
        return neighbour(sizes, plan, swaps, generator), chosen

    gathered.fill(count, draw)


def _evenly(plans: list[_Plan], generator: np.random.Generator) -> list[_Plan]:
    """Order plans so that any beginning has about as many of each budget."""
    by_share: dict[float, list[_Plan]] = {}
    for plan in plans:
        by_share.setdefault(plan[0][0], []).append(plan)
    ranked = []
    for own in by_share.values():
        first = min(_FIRST, len(own))
        order = [*range(first), *(first + generator.permutation(len(own) - first)).tolist()]
        ranked += [(rank, own[place]) for rank, place in enumerate(order)]
    return [plan for _, plan in sorted(ranked, key=lambda item: item[0])]
