"""Drawing a directed graph in layers with few crossings.

The method of Sugiyama, Tagawa and Toda (1981): an edge over several layers goes through a
virtual node in each; within the layers nodes are ordered by the mean position of their
neighbours, sweep after sweep, and the order with the fewest crossings is kept; last the nodes
move as close to their neighbours as the order and a least distance allow.
"""

from bisect import bisect_right, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Key = Hashable
_SWEEPS = 24
_RELAXATIONS = 60
# A line that passes by needs less room than a node.
_NODE_SPACE, _LINE_SPACE = 1.0, 0.45
_STIFFNESS, _GRAVITY = 6.0, 0.15


@dataclass(frozen=True)
class TreeLayout:
    """Where nodes and edges are drawn.

    Attributes:
        heights: of each node; nodes of one layer are at least 1 apart.
        routes: for each edge the heights at every layer from its source's to its target's.
    """

    heights: Mapping[Key, float]
    routes: Mapping[tuple[Key, Key], Sequence[float]]


def layered_layout(
    layers: Mapping[Key, int],
    edges: Iterable[tuple[Key, Key]],
    straight: Iterable[tuple[Key, Key]] = (),
) -> TreeLayout:
    """Find heights for the nodes and edges of a layered graph.

    Args:
        layers: the layer of each node, from 0; the order of the mapping is the first guess.
        edges: pairs of source and target, the source in an earlier layer.
        straight: those of the edges that should bend least.

    Raises:
        ValueError: an edge does not lead to a later layer.
    """
    ordered = list(dict.fromkeys(edges))
    for source, target in ordered:
        if layers[source] >= layers[target]:
            raise ValueError(f"edge {source} to {target} does not lead to a later layer")
    paths = {edge: _path(edge, layers) for edge in ordered}
    stiff = {key for edge in straight for key in paths[edge]}
    graph = _Graph(layers, paths, stiff)
    graph.order()
    heights = graph.place()
    routes = {edge: [heights[key] for key in path] for edge, path in paths.items()}
    return TreeLayout({key: heights[key] for key in layers}, routes)


def _path(edge: tuple[Key, Key], layers: Mapping[Key, int]) -> list[Key]:
    source, target = edge
    between = range(layers[source] + 1, layers[target])
    return [source, *(("line", source, target, layer) for layer in between), target]


class _Graph:
    """Nodes, virtual ones too, by layer, with their neighbours in the layers beside."""

    def __init__(
        self,
        layers: Mapping[Key, int],
        paths: Mapping[tuple[Key, Key], Sequence[Key]],
        stiff: set[Key],
    ) -> None:
        count = max(layers.values(), default=-1) + 1
        self._rows: list[list[Key]] = [[] for _ in range(count)]
        self._before: dict[Key, list[Key]] = {}
        self._after: dict[Key, list[Key]] = {}
        self._real = set(layers)
        self._stiff = stiff
        for key, layer in layers.items():
            self._add(key, layer)
        for (source, _), path in paths.items():
            for offset, key in enumerate(path):
                if key not in self._before:
                    self._add(key, layers[source] + offset)
            for first, second in pairwise(path):
                self._after[first].append(second)
                self._before[second].append(first)

    def _add(self, key: Key, layer: int) -> None:
        self._rows[layer].append(key)
        self._before[key] = []
        self._after[key] = []

    def order(self) -> None:
        """Sweep forth and back, and keep the order with the fewest crossings."""
        best, fewest = [list(row) for row in self._rows], self.crossings()
        for sweep in range(_SWEEPS):
            forth = sweep % 2 == 0
            neighbours = self._before if forth else self._after
            indices = range(len(self._rows))
            for index in indices if forth else reversed(indices):
                self._sort(index, neighbours)
            crossings = self.crossings()
            if crossings < fewest:
                best, fewest = [list(row) for row in self._rows], crossings
        self._rows = best

    def _sort(self, index: int, neighbours: Mapping[Key, Sequence[Key]]) -> None:
        beside = {key: place for row in self._beside(index) for place, key in enumerate(row)}
        row = self._rows[index]
        means = {
            # Whoever has no neighbour on this side keeps its place.
            key: float(np.mean([beside[other] for other in neighbours[key]]))
            if neighbours[key]
            else float(place)
            for place, key in enumerate(row)
        }
        row.sort(key=means.__getitem__)

    def _beside(self, index: int) -> list[list[Key]]:
        rows = self._rows
        return [rows[other] for other in (index - 1, index + 1) if 0 <= other < len(rows)]

    def crossings(self) -> int:
        """How many pairs of edges between neighbouring layers cross."""
        total = 0
        for row, after in pairwise(self._rows):
            places = {key: place for place, key in enumerate(after)}
            seen: list[int] = []
            for key in row:
                targets = sorted(places[other] for other in self._after[key])
                total += sum(len(seen) - bisect_right(seen, target) for target in targets)
                for target in targets:
                    insort(seen, target)
        return total

    def place(self) -> dict[Key, float]:
        """Heights that keep the order and the distances and make edges short."""
        offsets = [self._offsets(row) for row in self._rows]
        heights = {
            key: float(offset - offsets[index].mean())
            for index, row in enumerate(self._rows)
            for key, offset in zip(row, offsets[index], strict=True)
        }
        for relaxation in range(_RELAXATIONS):
            rows = list(enumerate(self._rows))
            for index, row in rows if relaxation % 2 == 0 else rows[::-1]:
                wanted = [self._wanted(key, heights) for key in row]
                placed = _closest_increasing(np.array(wanted) - offsets[index]) + offsets[index]
                heights.update(zip(row, placed.tolist(), strict=True))
        return heights

    def _offsets(self, row: Sequence[Key]) -> NDArray[np.float64]:
        if not row:
            return np.empty(0)
        room = [_NODE_SPACE if key in self._real else _LINE_SPACE for key in row]
        return np.concatenate([[0.0], np.cumsum([max(pair) for pair in pairwise(room)])])

    def _wanted(self, key: Key, heights: Mapping[Key, float]) -> float:
        beside = [*self._before[key], *self._after[key]]
        weights = [_STIFFNESS if {key, other} <= self._stiff else 1.0 for other in beside]
        pull = sum(weight * heights[other] for weight, other in zip(weights, beside, strict=True))
        # The middle line, at height 0, pulls a little: without it a graph wanders off.
        return pull / (sum(weights) + _GRAVITY)


def spread(wanted: Sequence[float], apart: float) -> list[float]:
    """Move numbers in increasing order as little as makes them so far apart."""
    offsets = apart * np.arange(len(wanted))
    placed = _closest_increasing(np.array(wanted, dtype=np.float64) - offsets) + offsets
    return [float(value) for value in placed]


def _closest_increasing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The non-decreasing sequence with the least squared distance (pool adjacent violators)."""
    if not len(values):
        return values
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while pools and pools[-1][0] > mean:
            other, others = pools.pop()
            mean = (mean * count + other * others) / (count + others)
            count += others
        pools.append((mean, count))
    return np.repeat([mean for mean, _ in pools], [count for _, count in pools])
