"""Operators that keep failing the screen are drawn less often, and none is ever lost."""

import pytest

from gp_emq.evolution._prioritisation import Prioritisation
from gp_emq.proxies import language, parse_expression


def tree(expression: str):
    return parse_expression(expression, language())


def test_everything_weighs_one_at_first() -> None:
    assert Prioritisation().weights() == {}


def test_weights_are_shares_of_success_with_ten_imaginary_ones() -> None:
    prioritisation = Prioritisation()
    for _ in range(10):
        prioritisation.record(tree("log(bits)"), passed=False)
    for _ in range(5):
        prioritisation.record(tree("log(square(bits))"), passed=True)
    weights = prioritisation.weights()
    assert weights == {
        "log__t": pytest.approx((5 + 10) / (15 + 10)),
        "square__t": pytest.approx((5 + 10) / (5 + 10)),
    }


def test_an_operator_counts_once_a_tree_and_statistics_never() -> None:
    prioritisation = Prioritisation()
    prioritisation.record(tree("add(log(bits), log(log(quantization_mse)))"), passed=False)
    assert prioritisation.weights() == {
        "add__t_t": pytest.approx(10 / 11),
        "log__t": pytest.approx(10 / 11),
    }


def test_operators_chosen_as_values_count_too() -> None:
    prioritisation = Prioritisation()
    genotype = "times_bits(branched(multiply, weight, abs, log, weight, abs, abs))"
    prioritisation.record(tree(genotype), passed=False)
    assert {"abs", "log", "multiply", "times_bits__v"} < set(prioritisation.weights())
    assert "weight" not in prioritisation.weights()


def test_no_weight_falls_below_the_floor() -> None:
    prioritisation = Prioritisation(floor=0.2)
    for _ in range(1000):
        prioritisation.record(tree("log(bits)"), passed=False)
    assert prioritisation.weights()["log__t"] == 0.2


def test_switched_off_everything_weighs_one_for_ever() -> None:
    prioritisation = Prioritisation(enabled=False)
    prioritisation.record(tree("log(bits)"), passed=False)
    assert prioritisation.weights() == {}


def test_the_order_of_counting_is_no_matter() -> None:
    cases = [("log(bits)", False), ("square(bits)", True), ("abs(log(bits))", True)]
    one, other = Prioritisation(), Prioritisation()
    for expression, passed in cases:
        one.record(tree(expression), passed=passed)
    for expression, passed in reversed(cases):
        other.record(tree(expression), passed=passed)
    assert list(one.weights().items()) == list(other.weights().items())
