"""What the probe rejects is what the whole network would reject, but for one in two hundred."""

import random

import numpy as np
import pytest
import torch

from gp_emq.evolution._generation import generate
from gp_emq.evolution._probe import Probe
from gp_emq.evolution._screening import TableScreen
from gp_emq.experiment._collecting import bench_statistics
from gp_emq.mqbench import load_bench
from gp_emq.proxies import Evaluator, parse_expression
from gp_emq.proxies._canonical import canonical_form
from gp_emq.statistics import default_cache
from primitives import Activations, PrimitiveSet, Terminal, load_primitive_set


def can_rank(single: np.ndarray, double: np.ndarray) -> bool:
    """Whether a table is finite, not the same for every configuration, and more than rounding."""
    if not (np.isfinite(single).all() and np.isfinite(double).all()):
        return False
    rows = single - single.mean(axis=1, keepdims=True)
    exact = double - double.mean(axis=1, keepdims=True)
    spread = exact.max() - exact.min()
    varies = np.ptp(single, axis=1).max() > 1e-12 * np.abs(single).max()
    return bool(varies and np.abs(rows - exact).max() <= 1e-3 * spread)


def test_hardly_a_valid_tree_is_rejected() -> None:
    primitive_set = load_primitive_set("emq")
    digits = bench_statistics(load_bench("digits"), default_cache())
    trees = {}
    for seed in range(900):
        tree = generate(primitive_set, 1, 5, rng=random.Random(seed))
        trees.setdefault(canonical_form(tree, primitive_set), tree)
    distinct = list(trees.values())
    reasons = Probe(primitive_set, digits).reasons(distinct)
    single = Evaluator(primitive_set, digits).tables(distinct)
    double = Evaluator(primitive_set, digits.to(torch.float64)).tables(distinct)
    valid = [
        reason
        for reason, one, other in zip(reasons, single, double, strict=True)
        if isinstance(one, torch.Tensor) and can_rank(one.numpy(), other.numpy())
    ]
    assert len(valid) > 400
    false = [reason for reason in valid if reason is not None]
    assert len(false) < 0.005 * len(valid), false
    # And it is worth its while: few of those that it lets pass come to nothing.
    passed = reasons.count(None)
    assert passed - (len(valid) - len(false)) < 0.05 * passed


class TestSecondSample:
    """A terminal that shows one face in the first sample, another in the second, another whole."""

    @pytest.fixture
    def judged(self, tiny):
        sizes = {
            statistics.tensor("activation").numel(): place
            for place, statistics in enumerate(
                (tiny.statistics.subsample(), tiny.statistics.subsample(2), tiny.statistics)
            )
        }
        assert len(sizes) == 3

        def judge(*faces: str) -> str | None:
            seen = []

            def shown(activation: torch.Tensor) -> torch.Tensor:
                place = sizes[activation.numel()]
                seen.append(place)
                result = activation.clone()
                if faces[place] == "constant":
                    result.zero_()
                elif faces[place] == "not finite in one layer":
                    result[0] = torch.nan
                elif faces[place] == "not finite":
                    result.fill_(torch.nan)
                return result

            mine = Terminal("mine", Activations, "x", "mine", ("activation",), shown)
            own = PrimitiveSet(
                "own", "many faces", statistics=[mine], operators=["sum"], ends_in_bits=True
            )
            tree = parse_expression("times_bits(sum(mine))", own)
            (result,) = TableScreen(own, tiny.statistics).tables([tree])
            return (result if isinstance(result, str) else None), set(seen)

        return judge

    @pytest.mark.parametrize("doubtful", ["constant", "not finite in one layer"])
    def test_what_one_sample_alone_rejects_is_evaluated(self, judged, doubtful) -> None:
        assert judged(doubtful, "fine", "fine") == (None, {0, 1, 2})

    def test_what_both_samples_reject_is_not(self, judged) -> None:
        assert judged("constant", "constant", "fine") == ("constant scores", {0, 1})

    def test_what_passes_the_first_sample_is_tried_on_no_other(self, judged) -> None:
        assert judged("fine", "constant", "fine") == (None, {0, 2})

    def test_what_is_finite_in_no_layer_is_beyond_doubt(self, judged) -> None:
        assert judged("not finite", "fine", "fine") == ("not finite", {0})

    def test_the_whole_table_has_the_last_word(self, judged) -> None:
        assert judged("constant", "fine", "not finite") == ("not finite", {0, 1, 2})
        assert judged("fine", "fine", "constant") == ("constant scores", {0, 2})
