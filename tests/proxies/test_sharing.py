"""Expressions are shared out evenly, and what has work in common stays together."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_tree

from gp_emq.farm import Farm
from gp_emq.proxies import language, share_expressions, to_expression
from primitives import load_primitive_set

DEAR = "softmax(multiply(quantization_perturbation, exp(quantization_perturbation)))"


@settings(max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 4))
def test_every_expression_has_one_place(seed, count, pieces) -> None:
    primitive_set, rng = load_primitive_set("bit_aware"), random.Random(seed)
    trees = [random_tree(primitive_set, rng, 5) for _ in range(count)]
    expressions = [to_expression(tree, primitive_set) for tree in trees]
    parts = share_expressions(expressions, pieces, primitive_set=primitive_set)
    assert sorted(place for part in parts for place in part) == list(range(count))
    assert 1 <= len(parts) <= pieces
    assert all(parts)


def test_what_has_dear_work_in_common_stays_together() -> None:
    expressions = [
        f"mean({DEAR})", "sum(exp(weight))", f"maximum({DEAR})", "mean(exp(weight))",
        "sum(softmax(exp(square(multiply(weight, quantization_perturbation)))))",
        f"sum({DEAR})",
    ]  # fmt: skip
    expressions = [
        text if "perturbation" in text else f"times_bits({text})" for text in expressions
    ]
    parts = share_expressions(expressions, 2, primitive_set=language())
    assert sorted(map(sorted, parts)) == [[0, 2, 5], [1, 3, 4]]


def test_equal_expressions_of_no_cost_are_spread() -> None:
    parts = share_expressions(["quantization_mse"] * 4, 2, primitive_set=language())
    assert sorted(map(len, parts)) == [2, 2]


def test_results_come_in_order_however_items_are_shared_out() -> None:
    class Squares:
        key = "squares"

        def set_up(self) -> None:
            """Nothing is needed."""

        def work(self, state, items) -> list[int]:
            return [item * item for item in items]

        def failed(self, item, reason) -> int:
            raise AssertionError(reason)

    def backwards(items, pieces) -> list[tuple[int, ...]]:
        asked.append(pieces)
        return [tuple(range(len(items)))[::-1][start::pieces] for start in range(pieces)]

    asked: list[int] = []
    with Farm([Squares()], jobs=3, backend="threading", share=backwards) as farm:
        assert farm.map([1, 2, 3, 4, 5, 6, 7]) == [1, 4, 9, 16, 25, 36, 49]
    assert asked == [3]
