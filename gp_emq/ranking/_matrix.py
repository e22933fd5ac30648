"""Several benches at once: proxies × benches, and a mean rank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gp_emq.correlation import Figure, mean_ranks
from gp_emq.ranking._measures import KENDALL
from gp_emq.ranking._rank import Ranking

UNDEFINED = Figure(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class MatrixRow:
    """One proxy on all benches.

    Attributes:
        name: The proxy.
        figures: Kendall tau on each bench.
        mean_rank: Mean over benches of its place, 1 the best; equals share the mean place.
    """

    name: str
    figures: tuple[Figure, ...]
    mean_rank: float


def matrix(rankings: Sequence[Ranking]) -> tuple[MatrixRow, ...]:
    """Lay rankings of the same proxies side by side.

    Args:
        rankings: One per bench.

    Returns:
        Rows by rising mean rank. A proxy without scores on a bench shares the last places.
    """
    names = [row.proxy.name for row in rankings[0].rows]
    columns = []
    for ranking in rankings:
        by_name = {row.proxy.name: row.figures.get(KENDALL, UNDEFINED) for row in ranking.rows}
        columns.append([by_name[name] for name in names])
    taus = np.array([[figure.value for figure in column] for column in columns])
    losses = -np.nan_to_num(taus, nan=-2.0)
    places = np.stack([mean_ranks(row) for row in losses]).mean(axis=0)
    rows = [
        MatrixRow(name, tuple(column[index] for column in columns), float(places[index]))
        for index, name in enumerate(names)
    ]
    return tuple(sorted(rows, key=lambda row: row.mean_rank))
