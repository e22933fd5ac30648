"""Compatibility screening: what rejects an individual before its fitness is computed.

In rising order of cost: structure, then what was seen before (`gp_emq.evolution.Archive`), then
a probe on a small sample of the elements, then the full table. Each rejection has one of the
reasons below, which the store records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gp_emq.errors import OperatorError
from gp_emq.evolution._fitness import centred
from gp_emq.evolution._individual import FloatArray
from gp_emq.proxies import DEFAULT_CACHE_BYTES, DEFAULT_MEMORY, Evaluator, Node, TreeError
from gp_emq.statistics import Statistics
from primitives import Input, PrimitiveSet

SIZE = "too large"
DEPTH = "too deep"
NO_STATISTIC = "no statistic"
EQUIVALENT = "equivalent to one seen"
SHAPE = "shape mismatch"
NOT_FINITE = "not finite"
CONSTANT = "constant scores"
PRECISION = "rounding noise"
DUPLICATE = "duplicate table"
INVALID = frozenset({SHAPE, NOT_FINITE, CONSTANT, PRECISION})
"""Reasons that blame the operators; being too large or a repetition does not."""

BY_OPERATOR = "operator failed: "
"""How the reason begins where an operator of a user's own failed; it blames that operator."""

FAILED = "failed: "
"""How the reason begins where it was a worker that failed, which blames nobody's operators."""

PRECISION_TOLERANCE = 1e-3
"""Largest disagreement of float32 and float64, as a share of the spread of the table."""

CONSTANT_TOLERANCE = 1e-12
"""Rows that vary by less than this share of the largest magnitude are constant."""


def blames_operators(reason: str) -> bool:
    """Say whether a reason speaks against the operators of a tree."""
    return reason in INVALID or reason.startswith(BY_OPERATOR)


@dataclass(frozen=True)
class StructureScreen:
    """Rejects trees by their shape alone.

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
        return None if informative else NO_STATISTIC


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
        self._probing = probing
        sample = statistics.subsample()
        self._single = Evaluator(primitive_set, sample, cache_bytes=cache_bytes)
        self._double = Evaluator(primitive_set, sample.to(torch.float64), cache_bytes=cache_bytes)

    def tables(self, trees: Sequence[Sequence[Node]]) -> list[FloatArray | str]:
        """Evaluate a population.

        Args:
            trees: Nodes in prefix order, each.

        Returns:
            For each tree its sensitivity table, float64 (entries, bits), or why it is rejected.
        """
        reasons = self._probe(trees) if self._probing else [None] * len(trees)
        passed = [tree for tree, reason in zip(trees, reasons, strict=True) if reason is None]
        tables = iter(self._full.tables(passed))
        return [self._judged(next(tables)) if reason is None else reason for reason in reasons]

    def _judged(self, result: Tensor | TreeError) -> FloatArray | str:
        if not isinstance(result, Tensor):
            return _reason_of(result)
        if not _gives_finite_scores(result):
            return NOT_FINITE
        table: FloatArray = result.numpy()
        return CONSTANT if self._probing and is_constant(table) else table

    def _probe(self, trees: Sequence[Sequence[Node]]) -> list[str | None]:
        """Evaluate on a sample in float32, and what survives in float64 as well."""
        single = [self._judged(result) for result in self._single.tables(trees)]
        alive = [
            tree for tree, table in zip(trees, single, strict=True) if not isinstance(table, str)
        ]
        double = iter(self._double.tables(alive))
        return [
            table if isinstance(table, str) else self._compared(table, next(double))
            for table in single
        ]

    def _compared(self, single: FloatArray, double: Tensor | TreeError) -> str | None:
        if not isinstance(double, Tensor):
            return _reason_of(double)
        if not _gives_finite_scores(double):
            return NOT_FINITE
        reference = centred(double.numpy())
        spread = float(np.ptp(reference))
        error = float(np.abs(centred(single) - reference).max())
        return PRECISION if error > PRECISION_TOLERANCE * spread else None


def _reason_of(error: TreeError) -> str:
    return BY_OPERATOR + error.reason if isinstance(error, OperatorError) else SHAPE


def _gives_finite_scores(table: Tensor) -> bool:
    # No score, centred or not, is larger than this sum.
    return bool(torch.isfinite(table.abs().sum()))


def is_constant(table: FloatArray) -> bool:
    """Say whether a finite table gives all configurations the same score."""
    scale = float(np.abs(table).max())
    return bool(np.ptp(table, axis=1).max() <= CONSTANT_TOLERANCE * scale)
