"""Expressions say what trees are, read back as the same trees, and are never evaluated."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_tree

from gp_emq.errors import ExpressionError
from gp_emq.proxies import language, parse_expression, to_expression
from primitives import BitTable, LayerVector, load_primitive_set, primitive_set_names

SETS = {name: load_primitive_set(name) for name in primitive_set_names()}
SETS["language"] = language()


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 8))
def test_any_tree_reads_back_as_itself(name, seed, depth) -> None:
    tree = random_tree(SETS[name], random.Random(seed), depth)
    expression = to_expression(tree, SETS[name])
    read = parse_expression(expression, SETS[name])
    assert [(node.name, node.ret) for node in read] == [(node.name, node.ret) for node in tree]


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_whitespace_means_nothing(seed) -> None:
    rng = random.Random(seed)
    expression = to_expression(random_tree(language(), rng, 5), language())
    spaced = "".join(rng.choice(["", " ", "\t", "\n "]) + part for part in tokens(expression))
    assert names(spaced) == names(expression)


def tokens(expression: str) -> list[str]:
    for mark in "(),":
        expression = expression.replace(mark, f"\0{mark}\0")
    return [token.strip() for token in expression.split("\0") if token.strip()]


def names(expression: str, result: type = BitTable) -> list[str]:
    return [node.name for node in parse_expression(expression, language(), result)]


def test_an_expression_uses_plain_names_and_the_parser_finds_the_signature() -> None:
    assert names("multiply(depth, mean(square(quantization_perturbation)))") == [
        "multiply__v_t", "depth", "mean__wb", "square__wb", "quantization_perturbation",
    ]  # fmt: skip
    assert names("mean(weight)", LayerVector) == ["mean__w", "weight"]
    assert names("mean(activation)", LayerVector) == ["mean__a", "activation"]


def test_a_commutative_operator_may_be_written_in_either_order() -> None:
    for text in ("multiply(bits, depth)", "multiply(depth, bits)"):
        assert names(text) == ["multiply__v_t", "depth", "bits"]
    assert names("mse(quantization_perturbation, weight)") == [
        "mse__w_wb", "weight", "quantization_perturbation",
    ]  # fmt: skip


def test_the_order_of_what_does_not_commute_is_kept() -> None:
    assert names("divide(bits, macs)") == ["divide__t_v", "bits", "macs"]
    assert names("divide(macs, bits)") == ["divide__v_t", "macs", "bits"]
    assert names("sum(subtract(quantization_perturbation, weight))") == [
        "sum__wb", "subtract__wb_w", "quantization_perturbation", "weight",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "exponent"),
    [("2", "2.0"), ("2.0", "2.0"), ("-0.5", "-0.5"), ("1", "1.0"), ("3.00", "3.0")],
)
def test_exponents_may_be_written_as_people_do(text, exponent) -> None:
    assert names(f"power(bits, {text})")[-1] == exponent


def refusal(text: str, result: type = BitTable) -> str:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, language(), result)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("wight", "unknown statistic 'wight'"),
        ("maen(weight)", "unknown operator 'maen'"),
        ("add(bits, power)", "operator 'power' needs its arguments in parentheses"),
        ("mean", "expression gives UnaryOperator, but must give BitTable: mean"),
        ("mean(weight", "')' is missing after mean(..."),
        ("mean(weight))", "unexpected ')'"),
        ("mean()", "unexpected ')'"),
        ("mean(weight,)", "unexpected ')'"),
        ("add(,bits)", "unexpected ','"),
        ("bits, bits", "unexpected ','"),
        ("bits bits", "unexpected 'bits'"),
        ("(bits)", "'(' must follow an operator's name"),
        ("mean(weight)(weight)", "'(' must follow an operator's name"),
        ("add(bits; bits)", "unexpected ';' at position 8"),
        ("bits + bits", "unexpected '+' at position 5"),
        ("power(bits, 4e)", "unexpected 'e'"),
        ("power(bits, .5)", "unexpected '.'"),
        (f"power(bits, {'9' * 400})", "is too large a number"),
        ("scaled(bits, 1e999)", "'1e999' is too large a number"),
        ("scaled(bits, 0)", "operator 'scaled' does not take (BitTable, Exponent)"),
        ("scaled(bits, -2)", "operator 'scaled' does not take (BitTable, Exponent)"),
        ("add(bits, 2)", "operator 'add' does not take (BitTable, Exponent|Factor)"),
        ("2(bits)", "unknown operator '2'"),
        ("add(bits)", "operator 'add' does not take (BitTable)"),
        ("add(bits, bits, bits)", "operator 'add' does not take (BitTable, BitTable, BitTable)"),
        ("add(weight, activation)", "'add' does not take (Weights|Input, Activations|Input)"),
        ("mean(bits)", "operator 'mean' does not take (BitTable)"),
        ("square(weight)", "expression gives Weights, but must give BitTable: square(weight)"),
        ("2", "expression gives Exponent or Factor, but must give BitTable: 2"),
        ("square(\nweight\n)", "expression gives Weights"),
        ("bits\n\n+", "unexpected '+'"),
        ("'bits'", 'unexpected "\'"'),
        ("bits # bits", "unexpected '#'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_one_line_with_the_culprit(text, culprit) -> None:
    message = refusal(text)
    assert culprit in message
    assert len(message) < 1500


def test_an_unknown_name_is_told_the_known_ones() -> None:
    message = refusal("sqaure(bits)")
    assert "square" in message
    assert "primitive set 'language'" in message


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "__import__(os)",
        "open(bits)",
        "mean.__class__",
        "lambda: 0",
        "[x for x in ()]",
        "bits if bits else bits",
        'f"{bits}"',
        "exec(bits)",
        "bits; bits",
        "language()",
        "mean__w(weight)",
        "exponent",
    ],
)
def test_nothing_is_ever_evaluated(text) -> None:
    refusal(text)


@settings(max_examples=300)
@given(text=st.text(st.sampled_from("abitsmenw(),. -203_'\n\t½é"), max_size=40))
def test_any_text_parses_or_is_refused(text) -> None:
    try:
        tree = parse_expression(text, language())
    except ExpressionError:
        refusal(text)
    else:
        assert tree[0].ret is BitTable


def test_three_thousand_levels_are_no_obstacle() -> None:
    expression = "negate(" * 3000 + "bits" + ")" * 3000
    tree = parse_expression(expression, language())
    assert len(tree) == 3001
    assert to_expression(tree, language()) == expression


def test_a_set_reads_only_what_it_has() -> None:
    with pytest.raises(ExpressionError, match=r"unknown statistic 'activation'.*'weights_only'"):
        parse_expression("times_bits(mean(activation))", SETS["weights_only"])


def test_long_or_broken_names_are_shortened():
    name = "9" * 5000
    for text in (f"abs(weight {name})", f"{name}(weight", f"{name}"):
        with pytest.raises(ExpressionError) as caught:
            parse_expression(text, SETS["emq"])
        assert len(str(caught.value)) < 1000
        assert "\n" not in str(caught.value)
