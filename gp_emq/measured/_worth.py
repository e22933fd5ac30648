"""What the plans of a table are worth on a bench's network, quantized and measured as the bench."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gp_emq.allocation import Configuration, Problem, best_within, search_space
from gp_emq.errors import AllocationError, BenchError
from gp_emq.files import code_sha256
from gp_emq.measured._kept import KeptMetrics
from gp_emq.mqbench import Bench, Measurer, check_alike, check_measurer
from gp_emq.networks import size_table

FloatArray = NDArray[np.float64]

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Budgets of plans: 0 for the size with all entries at the least width, 1 for the widest."""
BETWEEN = (0.2, 0.4, 0.6, 0.8)
"""Budgets that lie between those."""
WORST = -1.0
"""What a plan is worth at least: one that breaks the network, or loses as much again."""


class BenchPlans:
    """A bench's network, ready to say what plans of it are worth.

    A plan is worth the share that it wins back of what all entries at the least width lose against
    all at the widest: 0 for no better than the least width, 1 for as good as the widest, in the
    metric of the bench, on its samples, by its protocol. What is measured is kept, and is measured
    once.

    Args:
        bench: The bench.
        measurer: Measures configurations of its network.
        cache: Folder that keeps metrics and learned roundings; None keeps nothing.
        progress: Called whenever a plan was measured.

    Raises:
        BenchError: The measurer is of another network or of other samples, the protocol learns
            every configuration anew, or the widest width is no better than the least.
    """

    def __init__(
        self,
        bench: Bench,
        measurer: Measurer,
        *,
        cache: Path | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> None:
        if measurer.recipe.round_layer is None:
            raise BenchError(
                f"bench {bench.name} is of {measurer.recipe.name}, which learns every "
                "configuration anew, so that no search can measure plans: choose a bench of "
                "another protocol, such as rtn or adaround"
            )
        check_measurer(bench, measurer)
        layers = measurer.network.layers
        self._bench, self._measurer, self._progress = bench, measurer, progress
        self._space = search_space(layers, bench.bits)
        sizes = size_table(layers, bench.bits)
        self._costs = {
            (entry, width): float(size)
            for entry, row in enumerate(sizes)
            for width, size in zip(bench.bits, row, strict=True)
        }
        self._ends = float(sizes[:, 0].sum()), float(sizes[:, -1].sum())
        self._kept = KeptMetrics(None if cache is None else cache / "plans", self._hash())
        folder = self._kept.folder
        measurer.keep_roundings(None if folder is None else folder / "roundings")
        check_alike(bench, measurer)
        self._known: dict[Configuration, float] = {}
        self._least, self._most = (
            self._metric((width,) * len(sizes)) for width in (bench.bits[0], bench.bits[-1])
        )
        if not self._most > self._least:
            raise BenchError(
                f"bench {bench.name}: all layers at {bench.bits[-1]} bits are no better than at "
                f"{bench.bits[0]}, so that plans have nothing to win"
            )

    def worth(self, table: ArrayLike, shares: Sequence[float] = SHARES) -> FloatArray:
        """Say what the plans of a table are worth.

        Args:
            table: float64 (entries, bits), higher sums are better.
            shares: Sizes of the plans, see `SHARES`.

        Returns:
            Of each size, (shares,), at least `WORST`; 0 where the table has no plan.
        """
        try:
            problem = Problem.of(table, self._space, ())
        except AllocationError:  # it puts no width above another
            return np.zeros(len(shares))
        least, most = self._ends
        limits = [least + share * (most - least) for share in shares]
        plans = best_within(problem, self._costs, limits)
        return np.array([0.0 if plan is None else self._worth(plan) for plan in plans])

    def _worth(self, plan: Configuration) -> float:
        won = (self._metric(plan) - self._least) / (self._most - self._least)
        return max(WORST, won)

    def _metric(self, plan: Configuration) -> float:
        """Measure a plan, unless that was done before; higher is better."""
        if plan not in self._known:
            found = self._kept.get(plan)
            if found is None:
                found = self._measured(plan)
                self._kept.put(plan, found)
                self._progress()
            self._known[plan] = found
        return self._known[plan]

    def _measured(self, plan: Configuration) -> float:
        try:
            found = self._measurer.measure(plan)
        except BenchError:  # its outputs are no numbers
            return -np.inf
        metric = float(self._measurer.form.means(found[None])[0])
        return metric if self._bench.higher_is_better else -metric

    def _hash(self) -> str:
        """Hash everything that decides what a plan comes to, the code too."""
        modules = ("gp_emq.mqbench._measure", *self._measurer.recipe.modules)
        document = [code_sha256(*modules), self._measurer.provenance(), list(self._bench.bits)]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
