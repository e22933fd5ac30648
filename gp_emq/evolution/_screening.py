"""Compatibility screening: what rejects an individual before its fitness is computed.

In rising order of cost: structure, then what was seen before (`gp_emq.evolution.Archive`), then
a probe on small samples of the elements, then the full table. Each rejection has a reason, which
the store records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gp_emq.evolution._judging import judged
from gp_emq.evolution._objective import FloatArray
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._reasons import DEPTH, NO_STATISTIC, SCALE, SIZE
from gp_emq.proxies import (
    DEFAULT_CACHE_BYTES,
    DEFAULT_MEMORY,
    Evaluator,
    Node,
    depends_on_scale,
)
from gp_emq.statistics import Statistics
from primitives import Input, PrimitiveSet


@dataclass(frozen=True)
class StructureScreen:
    """Rejects trees by their shape alone and, where a set demands it, by dimensional analysis.

    Args:
        primitive_set: The set the trees are made of.
        max_size: Most nodes.
        max_depth: Most levels below the root.
    """

    primitive_set: PrimitiveSet
    max_size: int
    max_depth: int

    def reason(self, tree: Sequence[Node]) -> str | None:
        """Say why a tree is rejected, or None."""
        if len(tree) > self.max_size:
            return SIZE
        if depth_of(tree) > self.max_depth:
            return DEPTH
        statistics = self.primitive_set.statistics
        informative = any(
            node.ret is Input or (node.name in statistics and statistics[node.name].informative)
            for node in tree
            if node.arity == 0
        )
        if not informative:
            return NO_STATISTIC
        if self.primitive_set.scale_invariant and depends_on_scale(tree, self.primitive_set):
            return SCALE
        return None


def depth_of(tree: Sequence[Node]) -> int:
    """Give the number of levels below the root."""
    open_depths, deepest = [0], 0
    for node in tree:
        depth = open_depths.pop()
        deepest = max(deepest, depth)
        open_depths.extend([depth + 1] * node.arity)
    return deepest


class TableScreen:
    """Turns trees into tables, after a probe that most invalid ones fail cheaply.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        probing: False skips the probe, and lets tables pass that are constant or noise; a table
            that is not finite has no scores and never passes.
        device: Where full tables are computed; the probe is small and stays on the CPU.
        cache_bytes: See `Evaluator`.
        memory: See `Evaluator`.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        statistics: Statistics,
        *,
        probing: bool = True,
        device: str = "cpu",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        self._full = Evaluator(
            primitive_set, statistics, cache_bytes=cache_bytes, memory=memory, device=device
        )
        self._probe = Probe(primitive_set, statistics, cache_bytes) if probing else None

    def tables(self, trees: Sequence[Sequence[Node]]) -> list[FloatArray | str]:
        """Evaluate a population.

        Args:
            trees: Nodes in prefix order, each.

        Returns:
            For each tree its sensitivity table, float64 (entries, bits), or why it is rejected.
        """
        reasons = [None] * len(trees) if self._probe is None else self._probe.reasons(trees)
        passed = [tree for tree, reason in zip(trees, reasons, strict=True) if reason is None]
        tables = iter(self._full.tables(passed))
        return [
            judged(next(tables), may_be_constant=self._probe is None) if reason is None else reason
            for reason in reasons
        ]
