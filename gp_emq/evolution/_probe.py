"""Trying formulas on small samples of the elements, so that most invalid ones cost little.

A sample tells what the whole network would come to, but not always: of a few weights all may be
negative, a minimum over fewer is larger, and a sum over fewer smaller. What one sample rejects is
therefore tried on another and larger one, unless there is no doubt, and rejected if both do so.
`python -m benchmarks.probe` measures how often that is still wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gp_emq.evolution._judging import compared, judged
from gp_emq.evolution._objective import FloatArray
from gp_emq.evolution._reasons import NOT_FINITE, NOT_INVARIANT, SHAPE
from gp_emq.proxies import DEFAULT_CACHE_BYTES, Evaluator, Node, TreeError
from gp_emq.statistics import Statistics
from primitives import TENSOR_TYPES, Input, PrimitiveSet

SCALES = (1, 2)
"""Sizes of the samples, see `Statistics.subsample`."""


@dataclass(frozen=True)
class _Verdict:
    """What a sample says of a tree.

    Args:
        reason: Why it is rejected; None if it passes.
        is_certain: Whether the whole network can be trusted to say the same.
    """

    reason: str | None
    is_certain: bool = True


class Probe:
    """Evaluates trees on samples in float32, and what survives in float64 as well.

    Where the set demands formulas that are scale invariant, also with all entries rescaled.

    Args:
        primitive_set: The set the trees are made of.
        statistics: The network's statistics.
        cache_bytes: See `Evaluator`.
    """

    def __init__(
        self,
        primitive_set: PrimitiveSet,
        statistics: Statistics,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self._samples = [
            _Sample(primitive_set, statistics.subsample(scale), cache_bytes) for scale in SCALES
        ]

    def reasons(self, trees: Sequence[Sequence[Node]]) -> list[str | None]:
        """Say why each tree is rejected, or None.

        Args:
            trees: Nodes in prefix order, each.
        """
        first, second = self._samples
        verdicts = first.verdicts(trees)
        doubtful = [place for place, verdict in enumerate(verdicts) if not verdict.is_certain]
        reasons = [verdict.reason for verdict in verdicts]
        others = second.verdicts([trees[place] for place in doubtful])
        for place, verdict in zip(doubtful, others, strict=True):
            if verdict.reason is None:
                reasons[place] = None
        return reasons


class _Sample:
    def __init__(
        self, primitive_set: PrimitiveSet, statistics: Statistics, cache_bytes: int
    ) -> None:
        self._single = Evaluator(primitive_set, statistics, cache_bytes=cache_bytes)
        double = statistics.to(torch.float64)
        self._double = Evaluator(primitive_set, double, cache_bytes=cache_bytes)
        self._rescaled = (
            Evaluator(primitive_set, double.rescaled(_factors(statistics)), cache_bytes=cache_bytes)
            if primitive_set.scale_invariant
            else None
        )

    def verdicts(self, trees: Sequence[Sequence[Node]]) -> list[_Verdict]:
        results = self._single.tables(trees)
        single = [judged(result) for result in results]
        alive = [
            tree for tree, table in zip(trees, single, strict=True) if not isinstance(table, str)
        ]
        both = self._double.tables(alive)
        others = both if self._rescaled is None else self._rescaled.tables(alive)
        doubles = iter(zip(both, others, strict=True))
        reasons = [
            table if isinstance(table, str) else _compared(table, *next(doubles))
            for table in single
        ]
        return [
            _Verdict(reason, reason is None or _is_certain(reason, tree, result))
            for reason, tree, result in zip(reasons, trees, results, strict=True)
        ]


def _compared(
    single: FloatArray, double: Tensor | TreeError, rescaled: Tensor | TreeError
) -> str | None:
    reason = compared(single, double)
    if reason is None and rescaled is not double and isinstance(double, Tensor):
        reason = compared(double.numpy(), rescaled, NOT_INVARIANT)
    return reason


def _factors(statistics: Statistics) -> Tensor:
    """Give each entry a factor from ⅛ to 8; neighbours have different ones."""
    entries = torch.arange(statistics.layout("Weights").entry_count, dtype=torch.float64)
    return torch.exp2((5 * entries + 2) % 7 - 3)


def _is_certain(reason: str, tree: Sequence[Node], result: object) -> bool:
    if reason == SHAPE or not any(node.ret in (*TENSOR_TYPES, Input) for node in tree):
        return True
    # Where few elements are to blame, they are in few of the layers.
    if reason == NOT_FINITE and isinstance(result, torch.Tensor):
        return not bool(torch.isfinite(result).all(dim=1).any())
    return False
