"""EMQ's fixed structures compute what EMQ says, layer by layer."""

import itertools
import random

import numpy as np
import pytest
import torch
from reference_interpreter import Reference, agree, unary_value
from scipy import special
from synthetic import ENTRIES, random_tree, synthetic_statistics

from gp_emq.proxies import Evaluator, parse_expression, to_expression
from primitives import ShapeMismatchError, load_primitive_set

SETS = {name: load_primitive_set(name) for name in ("sequential", "branched", "dag")}


@pytest.fixture(scope="module")
def doubles():
    return synthetic_statistics(3, dtype=torch.float64)


def table(expression: str, statistics) -> np.ndarray:
    primitive_set = SETS[expression.removeprefix("times_bits(").split("(")[0]]
    tree = parse_expression(expression, primitive_set)
    return Evaluator(primitive_set, statistics).table(tree).numpy()


@pytest.mark.parametrize("name", SETS)
def test_structures_equal_a_straightforward_reference_shape_mismatches_included(
    name, doubles
) -> None:
    primitive_set = SETS[name]
    evaluator, reference = Evaluator(primitive_set, doubles), Reference(primitive_set, doubles)
    compared = mismatches = 0
    for seed in range(400):
        tree = random_tree(primitive_set, random.Random(seed), depth=2)
        try:
            expected = reference.trusted_table(tree)
        except ShapeMismatchError:
            mismatches += 1
            with pytest.raises(ShapeMismatchError):
                evaluator.table(tree)
            continue
        if expected is None:
            continue
        assert agree(evaluator.table(tree).numpy(), expected), to_expression(tree, primitive_set)
        compared += np.isfinite(expected).all()
    assert compared > 20
    assert mismatches > 20


def test_the_published_proxy_of_emq_by_hand() -> None:
    """Mean softmax(log|V|) times mean sqrt(relu(W)), times bits."""
    statistics = synthetic_statistics(5, entries=(0, 1, 2, 3), dtype=torch.float64)
    found = table(
        "times_bits(branched(multiply, virtual_gradient, log_abs, softmax, weight, relu, sqrt))",
        statistics,
    )
    layout = statistics.layout("Weights")
    virtual = layout.views(statistics.tensor("virtual_gradient"))
    weight = layout.views(statistics.tensor("weight"))
    by_hand = [
        [
            special.softmax(np.log(np.abs(v.numpy())), axis=0).mean()
            * np.sqrt(np.maximum(w.numpy(), 0)).mean()
            * bits
            for bits in statistics.bits
        ]
        for v, w in zip(virtual, weight, strict=True)
    ]
    np.testing.assert_allclose(found, by_hand, rtol=1e-12)
    # A softmax sums to one over the output channels, so its mean is one over their number.
    channels = np.array([w.shape[0] for w in weight])
    roots = np.array([np.sqrt(np.maximum(w.numpy(), 0)).mean() for w in weight])
    np.testing.assert_allclose(found[:, 0], roots / channels * statistics.bits[0], rtol=1e-12)


def test_tied_layers_weigh_by_their_elements(doubles) -> None:
    expression = "times_bits(sequential(weight, square, identity, sqrt, softmax))"
    layout = doubles.layout("Weights")
    layers = [np.square(w.numpy()) for w in layout.views(doubles.tensor("weight"))]
    means = [special.softmax(np.sqrt(layer), axis=0).mean() for layer in layers]
    sizes = [layer.size for layer in layers]
    assert layout.entries == tuple(sorted(ENTRIES)) == (0, 1, 1, 2)
    tied = (means[1] * sizes[1] + means[2] * sizes[2]) / (sizes[1] + sizes[2])
    np.testing.assert_allclose(
        table(expression, doubles)[:, 0] / 2, [means[0], tied, means[3]], rtol=1e-12
    )


def test_the_dag_sums_edges_from_inputs_and_earlier_nodes(doubles) -> None:
    edges = ("abs", "square", "identity", "negate", "relu", "sigmoid", "sign", "swish", "sqrt")
    found = table(f"times_bits(dag(weight, hessian_diagonal, {', '.join(edges)}))", doubles)
    a, b, c, d, e, f, g, h, i = map(unary_value, edges)
    layout = doubles.layout("Weights")
    scores = []
    for weight, curvature in zip(
        layout.views(doubles.tensor("weight")),
        layout.views(doubles.tensor("hessian_diagonal")),
        strict=True,
    ):
        x, y = weight.numpy(), curvature.numpy()
        first = a(x) + b(y)
        second = c(x) + d(y) + e(first)
        third = f(x) + g(y) + h(first) + i(second)
        scores.append(np.mean([first.mean(), second.mean(), third.mean()]))
    np.testing.assert_allclose(found[0, 0], 2 * scores[0], rtol=1e-12)
    np.testing.assert_allclose(found[2], np.multiply(scores[3], (2, 3, 4)), rtol=1e-12)


@pytest.mark.parametrize(
    "expression",
    [
        # The determinant of a layer's weights, which are no square matrix.
        "times_bits(sequential(weight, log_determinant, abs, abs, abs))",
        # A mean has no rows.
        "times_bits(sequential(weight, mean, gram, abs, abs))",
        # Sums of a Gram matrix and the weights themselves.
        "times_bits(dag(weight, weight, gram, abs, abs, abs, abs, abs, abs, abs, abs))",
    ],
)
def test_what_does_not_fit_is_a_shape_mismatch(expression, doubles) -> None:
    with pytest.raises(ShapeMismatchError):
        table(expression, doubles)


def test_a_single_number_fits_any_shape(doubles) -> None:
    found = table(
        "times_bits(dag(weight, weight, mean, abs, abs, abs, abs, abs, abs, abs, abs))", doubles
    )
    assert np.isfinite(found).all()


def test_every_operator_works_inside_a_structure_or_mismatches(doubles) -> None:
    """No operator raises anything else on what any other gives it."""
    names = sorted(
        {leaf.name for leaf in SETS["sequential"].terminals[_unary_type()]} - {"identity"}
    )
    for first, second in itertools.product(names, names):
        expression = f"times_bits(sequential(activation, {first}, {second}, identity, identity))"
        try:
            found = table(expression, doubles)
        except ShapeMismatchError:
            continue
        assert found.shape == (3, 3)


def _unary_type() -> type:
    from primitives import UnaryOperator

    return UnaryOperator
