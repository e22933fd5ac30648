"""Formulas are mathematics that a reader takes for what the tree computes."""

import random

import numpy as np
import pytest
import torch
from formula_reader import FormulaReader
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from reference_interpreter import Reference, agree
from synthetic import random_tree, synthetic_statistics

from gp_emq.proxies import language, parse_expression, to_expression, to_formula
from primitives import Operator, PrimitiveSet, Role, load_primitive_set, primitive_set_names

DOUBLES = synthetic_statistics(1, dtype=torch.float64)
STRUCTURES = {"sequential", "branched", "dag"}
FREE = PrimitiveSet(
    "free",
    "everything but fixed structures",
    statistics=list(language().statistics),
    operators=[name for name in language().operator_names if name not in STRUCTURES],
)


def formula(expression: str) -> str:
    return to_formula(parse_expression(expression, language()), language())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("bits", "b"),
        ("add(bits, multiply(depth, bits))", "b + d·b"),
        ("multiply(add(depth, macs), bits)", "(d + m)·b"),
        ("subtract(bits, add(bits, bits))", "b − (b + b)"),
        ("subtract(subtract(bits, bits), bits)", "b − b − b"),
        ("add(bits, negate(bits))", "b + (−b)"),
        ("negate(add(bits, bits))", "−(b + b)"),
        ("negate(multiply(depth, bits))", "−d·b"),
        ("multiply(negate(depth), bits)", "(−d)·b"),
        ("times_bits(add(depth, macs))", "(d + m)·b"),
        ("divide(add(depth, bits), bits)", "(d + b)/(b)"),
        ("square(bits)", "(b)²"),
        ("power(quantization_mse, -0.5)", "(mse(ΔW))^(−½)"),
        ("power(power(bits, 2), 3)", "((b)²)³"),
        ("times_bits(power(hessian_trace, 2))", "(tr H)^⟨2⟩·b"),
        ("times_bits(power(hessian_trace, -0.5))", "(tr H)^⟨−½⟩·b"),
        ("times_bits(power(hessian_trace, 3))", "(tr H)³·b"),
        ("times_bits(power(power(square(hessian_trace), 0.5), 2))", "(((tr H)²)^½)²·b"),
        ("power(quantization_mse, 1.4)", "(mse(ΔW))^1.4"),
        ("power(scaled(bits, 3), -1.4)", "(3·b)^(−1.4)"),
        ("times_bits(power(hessian_trace, -1.4))", "(tr H)^⟨−1.4⟩·b"),
        ("add(bits, scaled(add(bits, quantization_mse), 0.35))", "b + 0.35·(b + mse(ΔW))"),
        ("scaled(multiply(bits, bits), 2)", "2·b·b"),
        ("power(add(bits, bits), 1)", "b + b"),
        ("times_bits(power(add(depth, depth), 1))", "(d + d)·b"),
        ("times_bits(sum(gradient_times_weight))", "Σ(∇W·W)·b"),
        ("times_bits(sum(square(gradient_times_weight)))", "Σ((∇W·W)²)·b"),
        ("mean(multiply(fisher_diagonal, square(quantization_perturbation)))",
         "mean(diag F·(ΔW)²)"),
        ("times_bits(pairwise_distance(weight, subtract(weight, weight_gradient)))",
         "‖W − (W − ∇W)‖·b"),
        ("times_bits(l1_distance(weight, negate(weight)))", "mean|W − (−W)|·b"),
        ("times_bits(log_determinant(negate(gram(weight))))", "log|det (−gram(W))|·b"),
        ("times_bits(mean(matrix_product(add(weight, weight), weight)))", "mean((W + W)(W)ᵀ)·b"),
        ("less(abs(bits), bits)", "[|b| < b]"),
        ("times_bits(kl_divergence(activation, activation_gradient))", "KL(A ‖ ∇A)·b"),
        ("times_bits(branched(multiply, virtual_gradient, log_abs, softmax, weight, relu, sqrt))",
         "multiply(mean(softmax ∘ log_abs)(V), mean(sqrt ∘ relu)(W))·b"),
    ],
)  # fmt: skip
def test_formulas_read_like_mathematics(expression, expected) -> None:
    assert formula(expression) == expected


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 6))
@example(seed=0, depth=1)
def test_a_reader_of_the_formula_computes_what_the_tree_computes(seed, depth) -> None:
    tree = random_tree(FREE, random.Random(seed), depth)
    expected = Reference(FREE, DOUBLES).trusted_table(tree)
    assume(expected is not None)
    text = to_formula(tree, FREE)
    found = np.broadcast_to(FormulaReader(text, DOUBLES).value(), expected.shape)
    assert agree(found, expected), f"{to_expression(tree, FREE)} is no {text}"


SETS = {name: load_primitive_set(name) for name in primitive_set_names()}


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=50)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 8))
def test_formulas_are_one_line_with_balanced_brackets(name, seed, depth) -> None:
    text = to_formula(random_tree(SETS[name], random.Random(seed), depth), SETS[name])
    assert "\n" not in text
    assert "{" not in text
    open_brackets = []
    for character in text:
        if character in "([":
            open_brackets.append(character)
        elif character in ")]":
            assert open_brackets.pop() == {")": "(", "]": "["}[character]
    assert not open_brackets
    assert not (text.startswith("(") and text.endswith(")") and text.count("(") == 1)


@pytest.mark.parametrize(
    ("template", "of_sum", "of_product"),
    [
        ("cube({0})", "cube(W + W)", "cube(W·W)"),
        ("{0}³", "(W + W)³", "(W·W)³"),
        ("2·{0}", "2·(W + W)", "2·W·W"),
        ("1/{0}", "1/(W + W)", "1/(W·W)"),
        ("{0} + 1", "W + W + 1", "W·W + 1"),
        ("1 − {0}", "1 − (W + W)", "1 − W·W"),
        ("⌊{0}⌋", "⌊(W + W)⌋", "⌊(W·W)⌋"),
    ],
)
def test_templates_of_ones_own_get_the_parentheses_they_need(template, of_sum, of_product) -> None:
    own = PrimitiveSet(
        "own",
        "an operator of one's own",
        statistics=["weight"],
        operators=[
            Operator("own", 1, Role.ELEMENTWISE, torch.abs, "?", template),
            "add",
            "multiply",
            "mean",
        ],
        ends_in_bits=True,
    )

    def inner(argument: str) -> str:
        tree = parse_expression(f"times_bits(mean(own({argument}(weight, weight))))", own)
        return to_formula(tree, own).removeprefix("mean(").removesuffix(")·b")

    assert inner("add") == of_sum
    assert inner("multiply") == of_product


def test_a_template_may_repeat_its_argument_or_hold_braces() -> None:
    both = Operator("both", 1, Role.ELEMENTWISE, torch.abs, "?", "{0}·{0}")
    own = PrimitiveSet(
        "own", "repeats", statistics=["depth"], operators=[both, "add"], ends_in_bits=True
    )
    tree = parse_expression("times_bits(both(add(depth, depth)))", own)
    assert to_formula(tree, own) == "(d + d)·(d + d)·b"


def test_three_thousand_levels_are_no_obstacle() -> None:
    text = formula("abs(" * 3000 + "bits" + ")" * 3000)
    assert text == "|" * 3000 + "b" + "|" * 3000
