"""The evaluator gives what a plain float64 interpreter gives, however it goes about it."""

import random

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_interpreter import Reference, agree
from scipy import special
from synthetic import random_tree, synthetic_statistics

from gp_emq.proxies import Evaluator, language, parse_expression, to_expression
from primitives import (
    Activations,
    ActivationsPerBit,
    BitTable,
    Exponent,
    Factor,
    LayerVector,
    Matrices,
    Operator,
    PrimitiveSet,
    Role,
    ShapeMismatchError,
    Terminal,
    Weights,
    WeightsPerBit,
    load_primitive_set,
)

TO_TABLE = {
    Weights: ("times_bits", "frobenius_norm"),
    Activations: ("times_bits", "frobenius_norm"),
    Matrices: ("times_bits", "mean"),
    LayerVector: ("times_bits",),
    WeightsPerBit: ("mean",),
    ActivationsPerBit: ("frobenius_norm",),
    BitTable: (),
}
SOME_LEAVES = {
    Weights: ("weight", "hessian_diagonal"),
    WeightsPerBit: ("quantization_perturbation", "multiply(weight, quantization_perturbation)"),
    Activations: ("activation", "activation_gradient"),
    ActivationsPerBit: ("output_change", "multiply(activation, output_residual)"),
    Matrices: ("gram(weight)", "gram(virtual_gradient)"),
    LayerVector: ("hessian_trace", "hessian_top_eigenvalue"),
    BitTable: ("quantization_mse", "bits"),
    Exponent: ("3", "2"),
    Factor: ("3", "0.75"),
}
DOUBLES = synthetic_statistics(1, dtype=torch.float64)
SETS = {name: load_primitive_set(name) for name in ("bit_aware", "emq", "weights_only")}
SETS["language"] = language()


def evaluate(expression: str, statistics=DOUBLES, **options) -> np.ndarray:
    tree = parse_expression(expression, language())
    return Evaluator(language(), statistics, **options).table(tree).numpy()


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, overload in language().overloads.items()
        if overload.operator.kind is not Role.STRUCTURE
    ],
)
def test_every_signature_of_every_operator_equals_the_reference(name) -> None:
    overload = language().overloads[name]
    leaves = [SOME_LEAVES[kind][place] for place, kind in enumerate(overload.arguments)]
    expression = f"{overload.operator.name}({', '.join(leaves)})"
    for outer in reversed(TO_TABLE[overload.result]):
        expression = f"{outer}({expression})"
    tree = parse_expression(expression, language())
    assert name in {node.name for node in tree}, "the expression must have this very signature"
    found = Evaluator(language(), DOUBLES).table(tree)
    expected = Reference(language(), DOUBLES).table(tree)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=150)
@given(seed=st.integers(0, 10**6), data_seed=st.integers(0, 5), depth=st.integers(1, 7))
def test_random_trees_equal_the_reference(name, seed, data_seed, depth) -> None:
    statistics = synthetic_statistics(data_seed, dtype=torch.float64)
    tree = random_tree(SETS[name], random.Random(seed), depth)
    try:
        expected = Reference(SETS[name], statistics).trusted_table(tree)
    except ShapeMismatchError:
        expected = None
    assume(expected is not None)
    found = Evaluator(SETS[name], statistics).table(tree).numpy()
    assert agree(found, expected), to_expression(tree, SETS[name])


def populations(count: int, size: int, depth: int = 5):
    for seed in range(count):
        rng = random.Random(seed)
        yield [random_tree(SETS["bit_aware"], rng, depth) for _ in range(size)]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.isnan(), other.isnan()) and torch.equal(
        one.nan_to_num(nan=0.0), other.nan_to_num(nan=0.0)
    )


def test_a_tree_gives_the_same_to_the_last_bit_whatever_is_evaluated_beside_it() -> None:
    statistics = synthetic_statistics(2)
    together = Evaluator(SETS["bit_aware"], statistics)
    for population in populations(4, 25):
        tables = together.tables(population)
        for tree, table in zip(population, tables, strict=True):
            alone = Evaluator(SETS["bit_aware"], statistics, cache_bytes=0).table(tree)
            assert same(table, alone), to_expression(tree, SETS["bit_aware"])


@pytest.mark.parametrize("cache_bytes", [0, 100, 500, 10_000])
def test_caches_of_any_size_change_nothing(cache_bytes) -> None:
    statistics = synthetic_statistics(2)
    cached = Evaluator(SETS["bit_aware"], statistics, cache_bytes=cache_bytes)
    plain = Evaluator(SETS["bit_aware"], statistics)
    for population in populations(3, 25):
        for _ in range(2):
            for one, other in zip(cached.tables(population), plain.tables(population), strict=True):
                assert same(one, other)


def test_a_cache_too_small_for_anything_holds_when_a_tree_repeats_itself() -> None:
    evaluator = Evaluator(language(), DOUBLES, cache_bytes=200)
    tree = parse_expression(
        "add(mean(quantization_perturbation), mean(quantization_perturbation))", language()
    )
    tables = [evaluator.table(tree) for _ in range(50)]
    assert all(torch.equal(table, tables[0]) for table in tables)


@pytest.mark.parametrize("memory", [0, 4000, 10_000])
def test_whole_tensors_may_be_recomputed_instead_of_kept(memory) -> None:
    statistics = synthetic_statistics(2)
    kept, recomputed = (Evaluator(SETS["bit_aware"], statistics, memory=m) for m in (2**30, memory))
    for population in populations(2, 25):
        for one, other in zip(kept.tables(population), recomputed.tables(population), strict=True):
            assert same(one, other)


@pytest.mark.parametrize("block", [3, 7, 50])
def test_blocks_of_any_length_give_the_reference(block, monkeypatch) -> None:
    monkeypatch.setattr("gp_emq.proxies._streaming.BLOCK", block)
    evaluator, reference = Evaluator(language(), DOUBLES), Reference(language(), DOUBLES)
    for name in (
        "mean", "sum", "l1_mean", "frobenius_norm", "standard_deviation", "variance", "minimum",
        "maximum",
    ):  # fmt: skip
        for leaf in ("exp(weight)", "square(activation)"):
            tree = parse_expression(f"times_bits({name}({leaf}))", language())
            np.testing.assert_allclose(evaluator.table(tree), reference.table(tree), rtol=1e-10)
    for name in (
        "mse", "l1_distance", "pairwise_distance", "cosine_similarity", "kl_divergence",
        "hamming_distance",
    ):  # fmt: skip
        tree = parse_expression(f"{name}(weight, quantization_perturbation)", language())
        np.testing.assert_allclose(evaluator.table(tree), reference.table(tree), rtol=1e-10)


def test_reductions_by_tensors_alone_as_on_a_gpu_give_the_same(monkeypatch) -> None:
    drawn = list(populations(3, 25))
    here = Evaluator(SETS["bit_aware"], DOUBLES)
    expected = [here.tables(population) for population in drawn]
    monkeypatch.setattr("primitives._accumulators._in_main_memory", lambda device: False)
    there = Evaluator(SETS["bit_aware"], DOUBLES)
    for population, tables in zip(drawn, expected, strict=True):
        for one, other in zip(there.tables(population), tables, strict=True):
            assert torch.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6))
def test_single_precision_is_close_where_the_formula_allows(seed) -> None:
    tree = random_tree(SETS["bit_aware"], random.Random(seed), 3)
    statistics = synthetic_statistics(4)
    reference = Reference(SETS["bit_aware"], statistics)
    reference._jitter = 1e-6
    shaken, exact = reference.table(tree), Reference(SETS["bit_aware"], statistics).table(tree)
    assume(np.isfinite(exact).all())
    assume(np.allclose(shaken, exact, rtol=1e-4, atol=0))
    found = Evaluator(SETS["bit_aware"], statistics).table(tree).numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-3)


def test_tied_layers_add_sums_and_weigh_means_by_elements() -> None:
    layout = DOUBLES.layout("Weights")
    weight = [layer.numpy() for layer in layout.views(DOUBLES.tensor("weight"))]
    assert layout.entries == (0, 1, 1, 2)
    sums = [weight[0].sum(), weight[1].sum() + weight[2].sum(), weight[3].sum()]
    sizes = [weight[0].size, weight[1].size + weight[2].size, weight[3].size]
    np.testing.assert_allclose(evaluate("times_bits(sum(weight))")[:, 0], np.multiply(sums, 2))
    np.testing.assert_allclose(
        evaluate("times_bits(mean(weight))")[:, 0], 2 * np.divide(sums, sizes)
    )
    extremes = [weight[0].max(), max(weight[1].max(), weight[2].max()), weight[3].max()]
    np.testing.assert_allclose(
        evaluate("times_bits(maximum(weight))")[:, 0], np.multiply(extremes, 2)
    )
    rows = [layer.reshape(len(layer), -1) for layer in weight]
    grams = [np.log(np.linalg.det(layer @ layer.T)) for layer in rows]
    np.testing.assert_allclose(
        evaluate("times_bits(log_determinant(gram(weight)))")[:, 0],
        np.multiply([grams[0], grams[1] + grams[2], grams[3]], 2),
    )


def test_normalisers_run_over_the_axes_that_they_say() -> None:
    layout = DOUBLES.layout("Weights")
    weight = [layer.numpy() for layer in layout.views(DOUBLES.tensor("weight"))]
    of_layers = [special.softmax(layer, axis=0).max() for layer in weight]
    expected = [of_layers[0], max(of_layers[1:3]), of_layers[3]]
    np.testing.assert_allclose(
        evaluate("times_bits(maximum(softmax(weight)))")[:, 0], np.multiply(expected, 2)
    )
    trace = DOUBLES.tensor("hessian_trace").numpy()
    np.testing.assert_allclose(
        evaluate("times_bits(softmax(hessian_trace))")[:, 0], 2 * special.softmax(trace)
    )
    mse = DOUBLES.tensor("quantization_mse").numpy()
    np.testing.assert_allclose(evaluate("softmax(quantization_mse)"), special.softmax(mse))
    table = evaluate("min_max(quantization_mse)")
    assert (table.min(), table.max()) == (0, 1)
    # Each width's perturbation is a tensor of its own.
    moved = [p.numpy() for p in layout.views(DOUBLES.tensor("perturbation"))]
    spread = [np.ptp(p.reshape(3, -1), axis=1) for p in moved]
    shares = [p.reshape(3, -1).mean(axis=1) - p.reshape(3, -1).min(axis=1) for p in moved]
    np.testing.assert_allclose(
        evaluate("mean(min_max(quantization_perturbation))")[0], shares[0] / spread[0]
    )


def test_classical_proxies_are_multiplied_by_the_bits() -> None:
    depth = DOUBLES.tensor("depth").numpy()
    np.testing.assert_array_equal(evaluate("times_bits(depth)"), np.outer(depth, (2, 3, 4)))


def test_fit_by_hand() -> None:
    """FIT: Fisher diagonal times squared perturbation, summed over the layer."""
    fisher = DOUBLES.tensor("fisher_diagonal").numpy()
    squared = DOUBLES.tensor("perturbation").numpy() ** 2
    bounds = DOUBLES.layout("Weights").entry_bounds[:-1]
    np.testing.assert_allclose(
        evaluate("sum(multiply(fisher_diagonal, square(quantization_perturbation)))"),
        np.add.reduceat(fisher * squared, bounds, axis=1).T,
    )


def test_three_thousand_levels_are_no_obstacle() -> None:
    expression = "abs(" * 3000 + "quantization_mse" + ")" * 3000
    np.testing.assert_array_equal(evaluate(expression), DOUBLES.tensor("quantization_mse"))
    deep_tensor = "mean(" + "negate(" * 3000 + "quantization_perturbation" + ")" * 3001
    np.testing.assert_array_equal(
        evaluate(deep_tensor), evaluate("mean(quantization_perturbation)")
    )


def test_what_is_not_finite_comes_back_as_such_without_warning() -> None:
    assert np.isnan(evaluate("log(negate(bits))")).all()
    assert np.isinf(evaluate("times_bits(exp(square(macs)))")).any()


def test_statistics_are_left_as_they_are() -> None:
    statistics = synthetic_statistics(6)
    before = statistics.content_sha256(statistics.names)
    evaluator = Evaluator(SETS["bit_aware"], statistics)
    for population in populations(2, 30):
        evaluator.tables(population)
    assert statistics.content_sha256(statistics.names) == before


def test_arithmetic_runs_on_one_thread_and_leaves_the_setting_alone() -> None:
    seen = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return x.clone()

    spying = PrimitiveSet(
        "spying", "records the number of threads", statistics=["weight"],
        operators=[Operator("spy", 1, Role.ELEMENTWISE, spy, "x", "{0}"), "mean"],
        ends_in_bits=True,
    )  # fmt: skip
    tree = parse_expression("times_bits(mean(spy(weight)))", spying)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        seen.clear()
        Evaluator(spying, synthetic_statistics()).table(tree)
        assert seen
        assert set(seen) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


OWN = [
    Operator("cube", 1, Role.ELEMENTWISE, lambda x: x**3, "x³", "({0})³"),
    Operator("centre", 1, Role.NORMALISER, lambda x: x - x.mean(), "x − mean x", "({0})₀"),
    Operator("median", 1, Role.REDUCTION, lambda x: x.quantile(0.5, -1), "median", "median({0})"),
    Operator("outer", 1, Role.MATRIX, lambda x: x @ x.T / x.shape[1], "XXᵀ/n", "outer({0})"),
    Operator("hypot", 2, Role.ELEMENTWISE, torch.hypot, "√(x² + y²)", "hypot({0}, {1})"),
    Operator(
        "trace", 1, Role.MATRIX_REDUCTION, lambda x: x.diagonal().sum(), "tr X", "tr({0})"
    ),
]  # fmt: skip


def test_own_operators_and_terminals_of_every_kind_are_evaluated() -> None:
    doubled = Terminal(
        "doubled", WeightsPerBit, "2ΔW", "twice", ("perturbation",), lambda moved: 2 * moved
    )
    own = PrimitiveSet(
        "own",
        "operators of one's own",
        statistics=["weight", "quantization_perturbation", doubled],
        operators=[*OWN, "times_bits"],
    )
    layout = DOUBLES.layout("Weights")
    weight = [layer.numpy() for layer in layout.views(DOUBLES.tensor("weight"))]
    moved = DOUBLES.tensor("perturbation").numpy()[:, : weight[0].size]

    def first_row(expression: str, **options) -> np.ndarray:
        evaluator = Evaluator(own, DOUBLES, **options)
        return evaluator.table(parse_expression(expression, own)).numpy()[0]

    np.testing.assert_allclose(
        first_row("times_bits(median(cube(weight)))")[0], 2 * np.median(weight[0] ** 3)
    )
    np.testing.assert_allclose(
        first_row("median(hypot(weight, quantization_perturbation))"),
        np.median(np.hypot(weight[0].ravel(), moved), axis=1),
    )
    centred = weight[0] - weight[0].mean()
    np.testing.assert_allclose(
        first_row("times_bits(median(centre(weight)))")[0], 2 * np.median(centred)
    )
    np.testing.assert_allclose(
        first_row("times_bits(trace(outer(weight)))")[0], 2 * np.sum(weight[0] ** 2) / 9
    )
    for memory in (0, 2**30):
        np.testing.assert_allclose(
            first_row("median(doubled)", memory=memory), 2 * np.median(moved, axis=1)
        )
