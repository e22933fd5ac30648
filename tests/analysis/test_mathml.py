"""Formulas as MathML."""

import random
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from formula_reader import FormulaReader
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_interpreter import Reference, agree
from synthetic import random_tree, synthetic_statistics

from analysis._mathml import to_mathml
from gp_emq.proxies import language, parse_expression, to_expression
from primitives import PrimitiveSet, load_primitive_set

SPACE = "{http://www.w3.org/1998/Math/MathML}"


def written(expression, sign=1, name=None):
    primitive_set = language() if name is None else load_primitive_set(name)
    return to_mathml(parse_expression(expression, primitive_set), primitive_set, sign)


def line(text):
    """MathML as a line: fractions as a/b, powers as a^b, roots as √a, each in braces."""

    def flat(element):
        parts = [flat(child) for child in element]
        tag = element.tag.removeprefix(SPACE)
        if tag == "mfrac":
            return f"{{{parts[0]}/{parts[1]}}}"
        if tag == "msup":
            return f"{{{parts[0]}^{parts[1]}}}"
        if tag == "msqrt":
            return f"{{√{''.join(parts)}}}"
        return (element.text or "") + "".join(parts)

    return flat(ET.fromstring(text))  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("mean(multiply(fisher_diagonal, square(quantization_perturbation)))",
         "mean(diag F·{(ΔW)^2})"),
        ("divide(quantization_mse, add(bits, bits))", "{mse(ΔW)/b+b}"),
        ("subtract(bits, add(bits, quantization_mse))", "b−(b+mse(ΔW))"),
        ("multiply(bits, subtract(bits, quantization_mse))", "b·(b−mse(ΔW))"),
        ("sqrt(exp(bits))", "{√{e^b}}"),
        ("l1_mean(quantization_perturbation)", "mean|ΔW|"),
        ("frobenius_norm(quantization_perturbation)", "‖ΔW‖"),
        ("square(bits)", "{b^2}"),
        ("reciprocal(bits)", "{1/b}"),
        ("power(bits, -0.5)", "{b^−{1/2}}"),
        ("mean(power(quantization_perturbation, 3.0))", "mean({(ΔW)^3})"),
        ("mean(power(quantization_perturbation, 2.0))", "mean({(ΔW)^⟨2⟩})"),
        ("mean(power(quantization_perturbation, 0.5))", "mean({(ΔW)^⟨{1/2}⟩})"),
        ("power(bits, -1.4)", "{b^−1.4}"),
        ("mean(power(quantization_perturbation, 1.4))", "mean({(ΔW)^⟨1.4⟩})"),
        ("scaled(add(bits, bits), 2)", "2·(b+b)"),
        ("add(bits, scaled(quantization_mse, 0.35))", "b+0.35·mse(ΔW)"),
        ("negate(add(bits, bits))", "−(b+b)"),
        ("add(bits, negate(bits))", "b+(−b)"),
    ],
)  # fmt: skip
def test_formulas_are_written_as_mathematics_is(expression, expected):
    assert line(written(expression)) == expected


def test_the_sign_stands_before_the_whole():
    assert line(written("add(bits, quantization_mse)", -1)) == "−(b+mse(ΔW))"
    assert line(written("square(bits)", -1)) == "−{b^2}"


def test_words_and_signs_of_a_template_are_told_apart():
    text = written("log_abs(bits)")
    assert re.sub(r' (form|stretchy)="\w+"', "", text).endswith(
        'display="block"><mrow><mi>log</mi><mrow><mo>|</mo><mi>b</mi><mo>|</mo></mrow></mrow></math>'
    )


def test_comparisons_are_no_markup():
    text = written("mean(less(weight, quantization_perturbation))")
    assert "&lt;" in text
    assert line(text) == "mean([W<ΔW])"


@pytest.mark.parametrize(
    ("name", "expression", "expected"),
    [
        ("branched",
         "times_bits(branched(multiply, virtual_gradient, log_abs, softmax, weight, relu, sqrt))",
         "multiply(mean(softmax∘log_abs)(V),mean(sqrt∘relu)(W))·b"),
        ("sequential", "times_bits(sequential(weight, abs, log, sqrt, relu))",
         "mean(relu∘sqrt∘log∘abs)(W)·b"),
    ],
)  # fmt: skip
def test_the_structures_of_emq_are_written_with_their_operators(name, expression, expected):
    assert line(written(expression, name=name)) == expected


DOUBLES = synthetic_statistics(1, dtype=torch.float64)
STRUCTURES = {"sequential", "branched", "dag"}
FREE = PrimitiveSet(
    "free",
    "everything but fixed structures",
    statistics=list(language().statistics),
    operators=[name for name in language().operator_names if name not in STRUCTURES],
)
POWERS = {"2": "²", "3": "³", "−1": "⁻¹", "−2": "⁻²", "1/(2)": "^½", "−1/(2)": "^(−½)",
          "⟨2⟩": "^⟨2⟩", "⟨−2⟩": "^⟨−2⟩", "⟨1/(2)⟩": "^⟨½⟩", "⟨−1/(2)⟩": "^⟨−½⟩"}  # fmt: skip


def one_line(element):
    """MathML in the words of `to_formula`, which a reader of the tests computes by."""
    parts = [one_line(child) for child in element]
    tag = element.tag.removeprefix(SPACE)
    if tag == "mfrac":
        return f"1/({parts[1]})" if parts[0] == "1" else f"({parts[0]})/({parts[1]})"
    if tag == "msqrt":
        return f"√({''.join(parts)})"
    if tag == "msup" and element[0].tag == f"{SPACE}mi" and element[0].text == "e":
        return f"exp({parts[1]})"
    if tag == "msup":
        return f"({parts[0]}){POWERS[parts[1]]}"
    if tag == "mo" and element.text in set("+−<>=") and "form" not in element.attrib:
        return f" {element.text} "
    # Two words in a row are the name of one operator.
    words = [child.tag == f"{SPACE}mi" for child in element]
    spaced = [
        f"{part} " if words[place : place + 2] == [True, True] else part
        for place, part in enumerate(parts)
    ]
    return (element.text or "") + "".join(spaced)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 5))
def test_a_reader_of_the_mathematics_computes_what_the_tree_computes(seed, depth):
    tree = random_tree(FREE, random.Random(seed), depth)
    expected = Reference(FREE, DOUBLES).trusted_table(tree)
    assume(expected is not None)
    text = one_line(ET.fromstring(to_mathml(tree, FREE)))  # noqa: S314 - our own
    found = np.broadcast_to(FormulaReader(text, DOUBLES).value(), expected.shape)
    assert agree(found, expected), f"{to_expression(tree, FREE)} is no {text}"
