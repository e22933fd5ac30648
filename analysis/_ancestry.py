"""Who the best individual descends from, cut down to what a page can show."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis._run_data import training_of
from gp_emq.store import IndividualRow

MOST_SHOWN = 110


@dataclass(frozen=True)
class Ancestry:
    """The ancestors of one individual that are drawn.

    Attributes:
        root: the individual itself.
        shown: those drawn, the root included, in order of their ids.
        total: how many individuals the whole ancestry has.
        cut: those shown some of whose parents are not.
        main_line: ids from the oldest to the root, each the fitter parent of the next.
        contributions: for everyone in the whole ancestry the share of the root that comes from
            it when each parent gives an equal share.
    """

    root: IndividualRow
    shown: tuple[IndividualRow, ...]
    total: int
    cut: frozenset[int]
    main_line: tuple[int, ...]
    contributions: Mapping[int, float]

    @property
    def edges(self) -> list[tuple[int, int]]:
        """Pairs of parent and child, both shown."""
        shown = {row.id for row in self.shown}
        return [(p, row.id) for row in self.shown for p in _parents(row) if p in shown]


def ancestry_of(rows: Sequence[IndividualRow], root: int, *, most: int = MOST_SHOWN) -> Ancestry:
    """Choose the ancestors to draw.

    The line of the fitter parent is always among them. The others are those that contribute
    most to the root, each reachable from it.

    Args:
        rows: the whole ancestry of an individual, itself included.
        root: its id.
        most: how many to draw; more only if the line of the fitter parent is longer.
    """
    known = {row.id: row for row in rows}
    contributions = _contributions(known, root)
    line = _main_line(known, root)
    shown = set(line)
    queue: list[tuple[float, int]] = []
    queued = set(line)

    def reach_parents(child: int) -> None:
        for parent in _parents(known[child]):
            if parent in known and parent not in queued:
                queued.add(parent)
                heapq.heappush(queue, (-contributions[parent], parent))

    for id_ in line:
        reach_parents(id_)
    while queue and len(shown) < most:
        _, id_ = heapq.heappop(queue)
        shown.add(id_)
        reach_parents(id_)
    cut = {id_ for id_ in shown if not shown.issuperset(_parents(known[id_]))}
    return Ancestry(
        known[root],
        tuple(known[id_] for id_ in sorted(shown)),
        len(known),
        frozenset(cut),
        line,
        contributions,
    )


def layers_of(rows: Sequence[IndividualRow]) -> dict[int, tuple[int, int]]:
    """For each individual its generation and its rank among ancestors within it.

    A child may be of the same generation as its parent; its rank is higher then.

    Args:
        rows: in order of their ids, parents before children.
    """
    layers: dict[int, tuple[int, int]] = {}
    for row in rows:
        same = [layers[p] for p in _parents(row) if p in layers]
        ranks = [rank for generation, rank in same if generation == row.generation]
        layers[row.id] = (row.generation, max(ranks, default=-1) + 1)
    return layers


def turning_points(ancestry: Ancestry, most: int) -> list[IndividualRow]:
    """The start and the end of the main line, and between them where fitness rose most.

    Args:
        ancestry: of an individual.
        most: how many to choose; between them lies at least a twentieth of the generations.
    """
    known = {row.id: row for row in ancestry.shown}
    line = [known[id_] for id_ in ancestry.main_line]
    between = range(1, len(line) - 1)
    rises = {i: training_of(line[i]) - max(training_of(row) for row in line[:i]) for i in between}
    rising = [i for i in between if rises[i] > 0]
    chosen = [0, len(line) - 1] if len(line) > 1 else [0]
    apart = line[-1].generation / 20
    for i in sorted(rising, key=lambda i: (-rises[i], i)):
        distances = [abs(line[i].generation - line[other].generation) for other in chosen]
        if len(chosen) < most and min(distances) >= apart:
            chosen.append(i)
    return [line[i] for i in sorted(chosen)]


def _parents(row: IndividualRow) -> list[int]:
    return list(dict.fromkeys(row.parents))


def _contributions(known: Mapping[int, IndividualRow], root: int) -> dict[int, float]:
    shares = dict.fromkeys(known, 0.0)
    shares[root] = 1.0
    for id_ in sorted(known, reverse=True):
        parents = [parent for parent in known[id_].parents if parent in known]
        for parent in parents:
            shares[parent] += shares[id_] / len(parents)
    return shares


def _main_line(known: Mapping[int, IndividualRow], root: int) -> tuple[int, ...]:
    line = [root]
    while parents := [parent for parent in known[line[-1]].parents if parent in known]:
        line.append(min(parents, key=lambda id_: (-training_of(known[id_]), id_)))
    return tuple(reversed(line))
