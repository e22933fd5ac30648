"""Equal canonical forms mean equal rankings, and many ways of writing share one form."""

import itertools
import random
from collections import defaultdict

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_interpreter import Reference, agree
from synthetic import random_tree, synthetic_statistics

from gp_emq.proxies import language, parse_expression, simplified, to_expression
from gp_emq.proxies._canonical import canonical_form
from primitives import (
    LayerVector,
    Operator,
    PrimitiveSet,
    Role,
    Terminal,
    load_primitive_set,
)

DOUBLES = synthetic_statistics(1, dtype=torch.float64)
OTHERS = synthetic_statistics(2, dtype=torch.float64)
STRUCTURES = {"sequential", "branched", "dag"}
FREE = PrimitiveSet(
    "free",
    "everything but fixed structures",
    statistics=list(language().statistics),
    operators=[name for name in language().operator_names if name not in STRUCTURES],
)
ALGEBRA = PrimitiveSet(
    "algebra",
    "few statistics, so that the same mathematics comes up again and again",
    statistics=["weight", "fisher_diagonal", "depth", "hessian_trace", "bits"],
    operators=[
        "add", "subtract", "multiply", "divide", "negate", "abs", "square", "sqrt", "power", "relu",
        "sign", "less", "greater", "z_normalise", "min_max", "mean", "times_bits",
    ],
)  # fmt: skip
TENSORS = PrimitiveSet(
    "tensors",
    "reductions of normalised tensors and matrices",
    statistics=["weight", "activation", "fisher_diagonal", "quantization_perturbation"],
    operators=[
        "negate", "abs", "square", "subtract", "divide", "softmax", "z_normalise", "min_max",
        "gram", "row_distances", "matrix_product", "mean", "sum", "l1_mean", "minimum", "maximum",
        "variance", "standard_deviation", "frobenius_norm", "cosine_similarity", "times_bits",
        "log_determinant",
    ],
)  # fmt: skip


def canonical(expression: str, primitive_set: PrimitiveSet | None = None) -> str:
    primitive_set = primitive_set or language()
    return canonical_form(parse_expression(expression, primitive_set), primitive_set)


def finite_table(tree, primitive_set: PrimitiveSet, statistics) -> np.ndarray | None:
    """The table, where everything on the way to it is finite and well-conditioned."""
    reference = Reference(primitive_set, statistics)
    table = reference.trusted_table(tree)
    return table if reference.was_finite else None


def same_ranking(one: np.ndarray, other: np.ndarray) -> bool:
    return agree(one, other) or agree(one, -other)


@settings(max_examples=250)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 6), of=st.sampled_from(["free", "algebra"]))
def test_a_canonical_form_means_what_its_tree_means_up_to_the_sign(seed, depth, of) -> None:
    primitive_set = {"free": FREE, "algebra": ALGEBRA}[of]
    tree = random_tree(primitive_set, random.Random(seed), depth)
    form = canonical_form(tree, primitive_set)
    assume("<" not in form)
    table = finite_table(tree, primitive_set, DOUBLES)
    assume(table is not None)
    read = parse_expression(form, language())
    folded = Reference(language(), DOUBLES).table(read)
    assert same_ranking(folded, table), f"{to_expression(tree, primitive_set)} is no {form}"


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 7))
def test_a_canonical_form_is_its_own(seed, depth) -> None:
    form = canonical_form(random_tree(ALGEBRA, random.Random(seed), depth), ALGEBRA)
    assume("<" not in form)
    assert canonical(form) == form


@settings(max_examples=150)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 7))
def test_simplifying_gives_a_smaller_tree_of_the_same_form_or_the_tree_itself(seed, depth) -> None:
    tree = random_tree(ALGEBRA, random.Random(seed), depth)
    smaller, form = simplified(tree, ALGEBRA)
    assert form == canonical_form(tree, ALGEBRA)
    assert smaller == tree or len(smaller) < len(tree)
    expression = to_expression(smaller, ALGEBRA)
    assert list(parse_expression(expression, ALGEBRA)) == smaller
    if smaller != tree:
        assert expression == form
    assert simplified(smaller, ALGEBRA)[1] == form


def test_what_the_set_lacks_is_not_simplified_to() -> None:
    poor = PrimitiveSet(
        "poor", "products without squares", statistics=["quantization_mse"], operators=["multiply"]
    )
    tree = list(parse_expression("multiply(quantization_mse, quantization_mse)", poor))
    assert simplified(tree, poor) == (tree, "square(quantization_mse)")
    assert (
        to_expression(
            simplified(parse_expression("negate(multiply(bits, bits))", ALGEBRA), ALGEBRA)[0],
            ALGEBRA,
        )
        == "square(bits)"
    )


@pytest.mark.parametrize(
    ("primitive_set", "depths"), [(ALGEBRA, (2, 3)), (TENSORS, (3, 4))], ids=["algebra", "tensors"]
)
def test_trees_of_one_canonical_form_rank_alike_on_every_network(primitive_set, depths) -> None:
    families = defaultdict(dict)
    rng = random.Random(0)
    for _ in range(4_000):
        tree = random_tree(primitive_set, rng, rng.choice(depths))
        expression = to_expression(tree, primitive_set)
        families[canonical_form(tree, primitive_set)].setdefault(expression, tree)
    compared = 0
    large = [(form, members) for form, members in families.items() if len(members) > 1]
    for form, members in large[:110]:
        for statistics in (DOUBLES, OTHERS):
            tables = {}
            for expression, tree in itertools.islice(members.items(), 3):
                table = finite_table(tree, primitive_set, statistics)
                if table is not None:
                    tables[expression] = table
            for (one, table), (other, second) in itertools.pairwise(tables.items()):
                assert same_ranking(table, second), f"{form}: {one} is no {other}"
                compared += 1
    assert compared > 110


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("add(bits, quantization_mse)", "add(quantization_mse, bits)"),
        ("multiply(bits, quantization_mse)", "multiply(quantization_mse, bits)"),
        ("negate(bits)", "bits"),
        ("negate(negate(bits))", "bits"),
        ("abs(abs(quantization_mse))", "quantization_mse"),
        ("subtract(bits, quantization_mse)", "subtract(quantization_mse, bits)"),
        ("subtract(bits, negate(quantization_mse))", "add(bits, quantization_mse)"),
        ("add(negate(bits), negate(quantization_mse))", "add(bits, quantization_mse)"),
        ("add(negate(bits), quantization_mse)", "subtract(bits, quantization_mse)"),
        ("multiply(bits, bits)", "square(bits)"),
        ("power(bits, 2)", "square(bits)"),
        ("power(bits, 1)", "bits"),
        ("power(power(bits, 0.35), 2)", "power(bits, 0.7)"),
        ("power(power(bits, 0.1), 3)", "power(bits, 0.3)"),
        ("scaled(bits, 0.35)", "bits"),
        ("negate(scaled(negate(scaled(bits, 2)), 0.35))", "bits"),
        ("add(bits, scaled(quantization_mse, 1))", "add(bits, quantization_mse)"),
        ("add(bits, scaled(scaled(quantization_mse, 0.5), 3))",
         "add(bits, scaled(quantization_mse, 1.5))"),
        ("add(bits, multiply(scaled(quantization_mse, 0.5), depth))",
         "add(bits, scaled(multiply(depth, quantization_mse), 0.5))"),
        ("min_max(scaled(quantization_mse, 0.35))", "min_max(quantization_mse)"),
        ("abs(log(add(bits, scaled(negate(bits), 0.5))))",
         "abs(log(subtract(bits, scaled(bits, 0.5))))"),
        ("abs(scaled(bits, 0.35))", "bits"),
        ("power(power(bits, 2), 0.5)", "bits"),
        ("power(power(bits, -1), 2)", "power(bits, -2)"),
        ("subtract(quantization_mse, depth)", "subtract(depth, quantization_mse)"),
        ("add(negate(depth), quantization_mse)", "subtract(depth, quantization_mse)"),
        ("subtract(quantization_mse, negate(depth))", "add(depth, quantization_mse)"),
        ("subtract(negate(quantization_mse), depth)", "add(depth, quantization_mse)"),
        ("subtract(quantization_mse, subtract(depth, depth))", "quantization_mse"),
        ("divide(quantization_mse, divide(macs, macs))", "quantization_mse"),
        ("less(quantization_mse, depth)", "greater(depth, quantization_mse)"),
        ("greater(quantization_mse, depth)", "less(depth, quantization_mse)"),
        ("sum(subtract(quantization_perturbation, weight))",
         "sum(subtract(weight, quantization_perturbation))"),
        ("power(quantization_mse, 0.5)", "sqrt(quantization_mse)"),
        ("sqrt(square(log(bits)))", "abs(log(bits))"),
        ("square(sqrt(log(bits)))", "relu(log(bits))"),
        ("greater(bits, quantization_mse)", "less(quantization_mse, bits)"),
        ("subtract(add(bits, log(bits)), subtract(bits, bits))", "add(log(bits), bits)"),
        ("multiply(divide(bits, bits), log(bits))", "log(bits)"),
        ("times_bits(mean(negate(weight)))", "times_bits(mean(weight))"),
        ("times_bits(minimum(negate(weight)))", "times_bits(maximum(weight))"),
        ("times_bits(l1_mean(abs(weight)))", "times_bits(l1_mean(weight))"),
        ("times_bits(l1_mean(fisher_diagonal))", "times_bits(mean(fisher_diagonal))"),
        ("times_bits(variance(negate(weight)))", "times_bits(variance(weight))"),
        ("times_bits(mean(softmax(weight)))", "times_bits(mean(softmax(virtual_gradient)))"),
        ("times_bits(l1_mean(softmax(weight)))", "times_bits(mean(softmax(weight)))"),
        ("times_bits(sum(z_normalise(min_max(weight))))", "times_bits(sum(z_normalise(weight)))"),
        ("mean(z_normalise(min_max(quantization_perturbation)))",
         "mean(z_normalise(quantization_perturbation))"),
        ("times_bits(mean(gram(negate(weight))))", "times_bits(mean(gram(weight)))"),
        ("times_bits(cosine_similarity(negate(weight), virtual_gradient))",
         "times_bits(cosine_similarity(virtual_gradient, weight))"),
        ("mean(multiply(fisher_diagonal, square(negate(quantization_perturbation))))",
         "mean(multiply(fisher_diagonal, square(abs(quantization_perturbation))))"),
    ],
)  # fmt: skip
def test_known_identities_are_folded(one, other) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("divide(bits, quantization_mse)", "divide(quantization_mse, bits)"),
        ("divide(macs, quantization_mse)", "divide(quantization_mse, macs)"),
        ("less(macs, quantization_mse)", "greater(macs, quantization_mse)"),
        ("kl_divergence(weight, quantization_perturbation)",
         "kl_divergence(quantization_perturbation, weight)"),
        ("power(log(bits), 2)", "square(log(bits))"),
        ("power(log(bits), 0.5)", "sqrt(log(bits))"),
        ("less(bits, quantization_mse)", "less(quantization_mse, bits)"),
        ("times_bits(mean(abs(weight)))", "times_bits(mean(weight))"),
        ("times_bits(mean(softmax(weight)))", "times_bits(mean(softmax(activation)))"),
        ("times_bits(mean(softmax(gram(weight))))", "times_bits(mean(softmax(gram(activation))))"),
        ("times_bits(sum(softmax(weight)))", "times_bits(mean(softmax(weight)))"),
        ("times_bits(sum(log_softmax(weight)))", "times_bits(sum(log_softmax(weight_gradient)))"),
        ("times_bits(l1_mean(z_normalise(weight)))",
         "times_bits(l1_mean(z_normalise(virtual_gradient)))"),
        ("times_bits(maximum(weight))", "times_bits(minimum(weight))"),
        ("add(depth, bits)", "bits"),
        ("add(bits, scaled(quantization_mse, 0.35))", "add(bits, quantization_mse)"),
        ("power(power(bits, 2), 3)", "power(bits, 6)"),
        ("times_bits(kl_divergence(weight, virtual_gradient))",
         "times_bits(kl_divergence(virtual_gradient, weight))"),
    ],
)  # fmt: skip
def test_what_differs_is_not_folded(one, other) -> None:
    assert canonical(one) != canonical(other)


def as_sympy(tree) -> sympy.Expr:
    """Read a tree over numbers per entry as scalar algebra over the reals."""
    nodes = iter(tree)

    def value():
        node = next(nodes)
        if node.arity == 0:
            if node.name in ("2.0", "3.0", "1.0", "-1.0", "-2.0", "0.5", "-0.5"):
                return sympy.Rational(node.name)
            return SYMBOLS[node.name]
        arguments = [value() for _ in range(node.arity)]
        return ALGEBRAIC[node.name.split("__")[0]](*arguments)

    return value()


SYMBOLS = {
    "hessian_trace": sympy.Symbol("t", real=True),
    "hessian_top_eigenvalue": sympy.Symbol("l", real=True),
    "macs": sympy.Symbol("m", positive=True),
}
ALGEBRAIC = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "negate": lambda x: -x,
    "abs": sympy.Abs,
    "square": lambda x: x**2,
    "sqrt": lambda x: sympy.sqrt(sympy.Max(x, 0)),
    "relu": lambda x: sympy.Max(x, 0),
    "sign": sympy.sign,
    "power": lambda x, c: sympy.sign(x) * sympy.Abs(x) ** c,
    "less": lambda x, y: sympy.Piecewise((1, x < y), (0, True)),
    "greater": lambda x, y: sympy.Piecewise((1, x > y), (0, True)),
    "times_bits": lambda x: x,
}
SCALARS = PrimitiveSet(
    "scalars", "algebra of one number per entry",
    statistics=list(SYMBOLS), operators=[name for name in ALGEBRAIC if name != "times_bits"],
    ends_in_bits=True,
)  # fmt: skip
POINTS = [
    dict(zip(SYMBOLS.values(), map(sympy.Rational, values), strict=True))
    for values in (("-7/3", "2/5", "11/4"), ("5/2", "-3", "1/3"), ("-1/2", "-4/7", "9"))
]


@settings(max_examples=75)
@given(seed=st.integers(0, 10**6), depth=st.integers(2, 4))
def test_folding_is_exact_in_exact_arithmetic(seed, depth) -> None:
    tree = random_tree(SCALARS, random.Random(seed), depth)
    form = canonical_form(tree, SCALARS)
    assume("<" not in form)
    before, after = as_sympy(tree), as_sympy(parse_expression(form, SCALARS))
    values = [(before.subs(point), after.subs(point)) for point in POINTS]
    assume(all(one.is_finite and other.is_finite for one, other in values))
    assert any(all((one - sign * other).equals(0) for one, other in values) for sign in (1, -1)), (
        f"{to_expression(tree, SCALARS)} is no {form}"
    )


def test_a_symbol_stands_for_what_depends_on_the_shape_alone() -> None:
    form = canonical("times_bits(mean(softmax(weight)))")
    assert "<mean of softmax" in form
    assert canonical("times_bits(multiply(mean(softmax(weight)), mean(weight)))").count("<") == 1


def test_operators_of_ones_own_are_folded_by_what_they_declare_and_nothing_else() -> None:
    flip = Operator("flip", 1, Role.ELEMENTWISE, torch.neg, "−x", "−{0}", involution=True)
    tent = Operator(
        "tent", 2, Role.ELEMENTWISE, lambda x, y: (x - y).abs(), "|x − y|", "tent({0}, {1})",
        commutative=True, non_negative=True,
        identities=("tent(x, x) = 0", "tent(x, 0) = abs(x)", "tent(x, negate(x)) = abs(add(x, x))"),
    )  # fmt: skip
    own = PrimitiveSet(
        "own", "operators of one's own", statistics=["depth", "macs"],
        operators=[flip, tent, "abs", "negate"], ends_in_bits=True,
    )  # fmt: skip
    for text, form in {
        "flip(flip(depth))": "depth",
        "abs(flip(depth))": "abs(flip(depth))",
        "tent(macs, depth)": "tent(depth, macs)",
        "abs(tent(macs, depth))": "tent(depth, macs)",
        "tent(macs, tent(depth, depth))": "macs",
        "tent(macs, negate(macs))": "add(macs, macs)",
    }.items():
        assert canonical(f"times_bits({text})", own) == f"times_bits({form})"


def test_statistics_of_ones_own_may_be_negative() -> None:
    own = PrimitiveSet(
        "own", "a statistic of one's own",
        statistics=[Terminal("mine", LayerVector, "x", "one's own", ("depth",))],
        operators=["abs"], ends_in_bits=True,
    )  # fmt: skip
    assert canonical("times_bits(abs(mine))", own) == "times_bits(abs(mine))"


@pytest.mark.parametrize("name", ["sequential", "branched", "dag"])
def test_fixed_structures_keep_their_genotype(name) -> None:
    primitive_set = load_primitive_set(name)
    tree = random_tree(primitive_set, random.Random(0), 2)
    assert canonical_form(tree, primitive_set) == to_expression(tree, primitive_set)


def test_three_thousand_levels_are_no_obstacle() -> None:
    assert canonical("negate(" * 3001 + "bits" + ")" * 3001) == "bits"
    assert canonical("log(" * 3000 + "bits" + ")" * 3000).count("log") == 3000
    chain = "add(" * 1500 + "log(bits)" + ", negate(bits))" * 1500
    assert canonical(chain).count("bits") == 1501
