"""Where formulas have places for constants, and what they come to with them."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import synthetic_statistics
from test_canonical import ALGEBRA, random_tree

from gp_emq.proxies import (
    Evaluator,
    Site,
    constant_sites,
    language,
    parse_expression,
    to_expression,
    with_constants,
)

STATISTICS = synthetic_statistics(1, dtype=torch.float64)


def table(text: str) -> np.ndarray:
    tree = parse_expression(text, language())
    return Evaluator(language(), STATISTICS).table(tree).numpy()


def with_halves(text: str) -> str:
    tree = parse_expression(text, language())
    return with_constants(tree, language(), dict.fromkeys(constant_sites(tree, language()), 0.5))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # k terms of a sum have k − 1 weights, wherever its parentheses stand.
        ("add(add(log(macs), log(bits)), quantization_mse)",
         "add(add(log(macs), scaled(log(bits), 0.5)), scaled(power(quantization_mse, 0.5), 0.5))"),
        ("subtract(log(bits), subtract(log(macs), log(bits)))",
         "subtract(log(bits), scaled(subtract(log(macs), scaled(log(bits), 0.5)), 0.5))"),
        # A product as a factor has its factors' exponents; what may be negative has none.
        ("multiply(log(bits), divide(quantization_mse, macs))",
         "multiply(log(bits), divide(power(quantization_mse, 0.5), power(macs, 0.5)))"),
        ("add(hessian_trace, bits)", "add(hessian_trace, scaled(power(bits, 0.5), 0.5))"),
        # Roots and squares of what is never negative take the exponent over.
        ("multiply(sqrt(quantization_mse), square(bits))",
         "multiply(power(quantization_mse, 0.25), power(bits, 1.0))"),
        ("square(log(bits))", "power(square(log(bits)), 0.5)"),
        ("multiply(square(log(bits)), bits)",
         "multiply(power(square(log(bits)), 0.5), power(bits, 0.5))"),
        # A tensor would have to be read anew for each value.
        ("mean(multiply(fisher_diagonal, square(quantization_perturbation)))",
         "power(mean(multiply(fisher_diagonal, square(quantization_perturbation))), 0.5)"),
        ("quantization_mse", "power(quantization_mse, 0.5)"),
        ("log(quantization_mse)", "log(quantization_mse)"),
        ("sigmoid(add(min_max(bits), z_normalise(bits)))",
         "power(sigmoid(add(power(min_max(bits), 0.5), scaled(z_normalise(bits), 0.5))), 0.5)"),
    ],
)  # fmt: skip
def test_constants_stand_at_terms_and_factors(expression, expected) -> None:
    assert with_halves(expression) == expected


def test_weights_come_first_and_there_are_ten_at_most() -> None:
    text = "bits"
    for _ in range(8):
        text = f"add({text}, quantization_mse)"
    sites = constant_sites(parse_expression(text, language()), language())
    assert len(sites) == 10
    assert [site.is_exponent for site in sites] == [False] * 8 + [True] * 2
    assert sites[0] == Site(is_exponent=False, position=0, argument=1)


def test_weights_and_exponents_do_what_they_say() -> None:
    tree = parse_expression("add(sqrt(quantization_mse), multiply(bits, bits))", language())
    values = {
        Site(False, 0, 1): 3.0, Site(True, -1, 0): 1.4, Site(True, 0, 0): 0.7,
        Site(True, 3, 0): 2.5, Site(True, 3, 1): 0.3,
    }  # fmt: skip
    assert constant_sites(tree, language()) == list(values)
    mse, bits = (STATISTICS.tensor(name).numpy() for name in ("quantization_mse", "bits"))
    found = table(with_constants(tree, language(), values))
    expected = (mse**0.35 + 3 * bits**2.5 * bits**0.3) ** 1.4
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 6))
def test_constants_of_one_change_nothing_and_others_parse(seed, depth) -> None:
    tree = random_tree(ALGEBRA, random.Random(seed), depth)
    sites = constant_sites(tree, ALGEBRA)
    assert with_constants(tree, ALGEBRA, dict.fromkeys(sites, 1.0)) == to_expression(tree, ALGEBRA)
    text = with_constants(tree, ALGEBRA, dict.fromkeys(sites, 0.35))
    again = parse_expression(text, ALGEBRA)
    assert to_expression(again, ALGEBRA) == text
    assert text.count("0.35") >= len([site for site in sites if not site.is_exponent])
