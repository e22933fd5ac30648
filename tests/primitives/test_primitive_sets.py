"""Primitive sets build, are complete, and refuse what they cannot use in one clear line."""

import itertools
import random
import re

import pytest
import torch
from deap import gp
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_tree

from gp_emq.errors import PrimitiveSetError
from gp_emq.proxies import language
from gp_emq.statistics import STATISTICS as COLLECTED
from primitives import (
    OPERATORS,
    STATISTICS,
    TENSOR_TYPES,
    Activations,
    ActivationsPerBit,
    BitTable,
    Input,
    LayerVector,
    Operator,
    PrimitiveSet,
    Role,
    Terminal,
    Weights,
    WeightsPerBit,
    load_primitive_set,
    primitive_set_names,
)
from primitives._types import TREE_TYPES

NAMES = primitive_set_names()


@pytest.fixture(scope="module")
def sets() -> dict[str, PrimitiveSet]:
    return {name: load_primitive_set(name) for name in NAMES}


def make(**arguments) -> PrimitiveSet:
    return PrimitiveSet("mine", "a set of one's own", **arguments)


def refusal(**arguments) -> str:
    with pytest.raises(PrimitiveSetError) as caught:
        make(**arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_sets_that_users_are_promised_are_there() -> None:
    assert set(NAMES) == {
        "bit_aware", "emq", "sequential", "branched", "dag",
        "no_hessian", "no_activation", "no_gradient", "weights_only", "discovery", "forward_only",
        "measured", "invariant", "output_aware", "measured_invariant", "measured_tables",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_set_builds_and_says_what_it_is(name, sets) -> None:
    assert sets[name].name == name
    assert len(sets[name].description) > 20
    assert "\n" not in sets[name].description
    assert sets[name].ret is BitTable
    assert isinstance(sets[name], gp.PrimitiveSetTyped)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_signatures_share_a_name(name, sets) -> None:
    listed = [p.name for group in sets[name].primitives.values() for p in group]
    assert len(listed) == len(set(listed))
    signatures = [(o.operator.name, o.arguments) for o in sets[name].overloads.values()]
    assert len(signatures) == len(set(signatures))


def fit(one: type, other: type) -> bool:
    """Whether values of two types fit: of one geometry, with or without a bit axis each."""
    geometries = ({Weights, WeightsPerBit}, {Activations, ActivationsPerBit},
                  {LayerVector, BitTable})  # fmt: skip
    return any({one, other} <= geometry for geometry in geometries)


@pytest.mark.parametrize("name", [*NAMES, "language"])
def test_types_that_fit_combine_in_both_orders_or_in_one_where_both_are_the_same(
    name, sets
) -> None:
    primitive_set = sets.get(name) or language()
    kinds = [kind for kind in primitive_set.minimum_depths if kind in TREE_TYPES]
    if name == "emq":
        # A set that ends in bits makes tables at its root and takes none.
        kinds.remove(BitTable)
    for operator_name in primitive_set.operator_names:
        operator = OPERATORS[operator_name]
        if operator.arity != 2 or operator_name == "power" or operator.kind is Role.MATRIX:
            continue
        taken = TENSOR_TYPES if operator.kind is Role.REDUCTION else kinds
        found = {overload.arguments for overload in primitive_set.overloads_of(operator_name)}
        assert len(found) == len(primitive_set.overloads_of(operator_name))
        for one, other in itertools.product(kinds, repeat=2):
            orders = {(one, other), (other, one)}
            expected = 0
            if fit(one, other) and {one, other} <= set(taken):
                expected = 1 if operator.commutative else len(orders)
            assert len(found & orders) == expected, (operator_name, one, other)


@pytest.mark.parametrize("name", NAMES)
def test_sets_need_only_statistics_that_can_be_collected(name, sets) -> None:
    assert set(sets[name].needs) <= set(COLLECTED)


def test_the_larger_sets_have_all_of_the_smaller_and_together_all_there_is(sets) -> None:
    smaller, larger, largest = (
        set(sets[name].statistics) for name in ("bit_aware", "discovery", "measured")
    )
    assert smaller < larger < largest
    products = {"gradient_times_weight", "gradient_times_activation"}
    # Searches by which formulas ship go on finding them: what came later is for expressions.
    later = {"recipe_divergence_sound"}
    assert set(STATISTICS) - largest == products | {"measured_metric"} | later
    assert not {name for name in larger if name.startswith("measured")}


def test_ablations_leave_out_what_they_say(sets) -> None:
    everything = set(sets["bit_aware"].statistics)
    hessian = {"hessian_gradient", "hessian_diagonal", "hessian_trace", "hessian_top_eigenvalue"}
    activation = {"activation", "activation_gradient"}
    gradient = {
        "weight_gradient", "virtual_gradient", "synflow_gradient", "fisher_diagonal",
        "activation_gradient",
    }  # fmt: skip
    assert everything - set(sets["no_hessian"].statistics) == hessian
    assert everything - set(sets["no_activation"].statistics) == activation
    assert everything - set(sets["no_gradient"].statistics) == gradient | hessian
    images = [name for name in sets["weights_only"].needs if "gradient" in name or "act" in name]
    assert images == []


def test_emq_has_the_papers_inputs_and_all_its_operators(sets) -> None:
    inputs = {
        "activation", "weight_gradient", "weight", "hessian_diagonal", "virtual_gradient",
        "gradient_times_activation", "gradient_times_weight",
    }  # fmt: skip
    unary = {
        "log", "log_abs", "abs", "square", "exp", "z_normalise", "relu", "reciprocal",
        "frobenius_norm", "l1_mean", "softmax", "sigmoid", "log_softmax", "sqrt", "negate",
        "min_max", "mean", "standard_deviation", "sign", "log_determinant", "gram", "minimum",
        "maximum", "variance", "row_distances", "leaky_relu", "mish", "swish",
    }  # fmt: skip
    binary = {
        "add", "subtract", "multiply", "matrix_product", "less", "greater", "equal",
        "hamming_distance", "kl_divergence", "cosine_similarity", "pairwise_distance",
        "l1_distance", "mse",
    }  # fmt: skip
    assert inputs == set(sets["emq"].statistics)
    assert unary | binary <= set(sets["emq"].operator_names)
    assert unary | {"identity"} <= set(sets["branched"].operator_values)
    assert binary <= set(sets["branched"].operator_values)


def test_sets_of_fixed_structures_hold_nothing_but_their_structure(sets) -> None:
    for name in ("sequential", "branched", "dag"):
        assert sets[name].operator_names == (name, "times_bits")


def test_classical_sets_multiply_by_the_bits_at_the_root_and_nowhere_else(sets) -> None:
    to_table = [o for o in sets["emq"].overloads.values() if o.result is BitTable]
    assert [o.operator.name for o in to_table] == ["times_bits"]
    assert not any(BitTable in o.arguments for o in sets["emq"].overloads.values())


def test_building_a_set_leaves_earlier_ones_alone() -> None:
    one, other = load_primitive_set("weights_only"), load_primitive_set("weights_only")
    assert one is not other
    make(statistics=["weight"], operators=["mean"], ends_in_bits=True)
    assert list(one.overloads) == list(other.overloads)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_random_trees_are_well_typed(name, seed) -> None:
    primitive_set = load_primitive_set_once(name)
    tree = random_tree(primitive_set, random.Random(seed), depth=5)
    assert well_typed(tree, primitive_set) is BitTable


_loaded: dict[str, PrimitiveSet] = {}


def load_primitive_set_once(name: str) -> PrimitiveSet:
    if name not in _loaded:
        _loaded[name] = load_primitive_set(name)
    return _loaded[name]


def well_typed(tree, primitive_set: PrimitiveSet) -> type:
    """Check every argument against its operator's signature and give the root's type."""
    stack: list[type] = []
    for node in reversed(tree):
        given_types = tuple(stack.pop() for _ in range(node.arity))
        if node.arity:
            overload = primitive_set.overloads[node.name]
            assert given_types == overload.arguments
            assert node.ret is overload.result
        stack.append(node.ret)
    assert len(stack) == 1
    return stack[0]


def test_minimum_depths_are_the_shortest_ways_to_a_leaf() -> None:
    depths = make(
        statistics=["weight", "depth"], operators=["mean", "gram", "abs"], ends_in_bits=True
    ).minimum_depths
    by_name = {kind.__name__: depth for kind, depth in depths.items()}
    assert by_name == {"Weights": 0, "LayerVector": 0, "Matrices": 1, "BitTable": 1}


class TestRefusals:
    def test_an_operator_named_twice(self) -> None:
        assert "'mean' twice" in refusal(
            statistics=["weight"], operators=["mean", "abs", "mean"], ends_in_bits=True
        )

    def test_a_statistic_named_twice(self) -> None:
        assert "'weight' twice" in refusal(statistics=["weight", "weight"], operators=["mean"])

    def test_an_unknown_operator(self) -> None:
        message = refusal(statistics=["weight"], operators=["mena"])
        assert "unknown operator 'mena'" in message
        assert "mean, " in message

    def test_an_unknown_statistic(self) -> None:
        message = refusal(statistics=["wieght"], operators=["mean"])
        assert "unknown statistic 'wieght'" in message
        assert "weight, " in message

    def test_an_operator_that_no_terminal_can_feed(self) -> None:
        message = refusal(statistics=["depth"], operators=["mean"], ends_in_bits=True)
        assert "'mean' has nothing to act on" in message
        assert "Weights" in message
        assert "Activations" in message

    def test_a_structure_without_operators_to_choose_from(self) -> None:
        message = refusal(inputs=["weight"], operators=["sequential"], ends_in_bits=True)
        assert "'sequential' has nothing to act on" in message
        assert "UnaryOperator" in message

    def test_a_set_that_cannot_end_in_a_table(self) -> None:
        message = refusal(statistics=["weight"], operators=["mean"])
        assert "cannot build a BitTable, only LayerVector, Weights" in message
        assert "ends_in_bits" in message

    def test_a_set_with_nothing_in_it(self) -> None:
        assert "cannot build a BitTable, only nothing" in refusal(operators=[])

    def test_an_own_operator_with_a_built_in_name(self) -> None:
        impostor = Operator("mean", 1, Role.ELEMENTWISE, torch.abs, "|x|", "{0}")
        assert "'mean' is the name of a built-in operator" in refusal(
            statistics=["weight"], operators=[impostor], ends_in_bits=True
        )

    def test_an_own_terminal_with_a_built_in_name(self) -> None:
        impostor = Terminal("weight", LayerVector, "w", "not the weight", ("depth",))
        assert "'weight' is the name of a built-in statistic" in refusal(
            statistics=[impostor], operators=["abs"], ends_in_bits=True
        )

    def test_an_own_terminal_with_the_name_of_an_operator(self) -> None:
        impostor = Terminal("negate", LayerVector, "w", "no operator", ("depth",))
        assert "'negate' is the name of a built-in operator" in refusal(
            statistics=[impostor], operators=["abs"], ends_in_bits=True
        )

    @pytest.mark.parametrize("name", ["my op", "", "2d", "f(x)", "größer+"])
    def test_own_names_that_an_expression_could_not_hold(self, name) -> None:
        operator = Operator(name, 1, Role.ELEMENTWISE, torch.abs, "|x|", "{0}")
        terminal = Terminal(name, LayerVector, "w", "one's own", ("depth",))
        for given_things in (
            {"statistics": ["depth"], "operators": [operator]},
            {"statistics": [terminal], "operators": ["abs"]},
        ):
            message = refusal(**given_things, ends_in_bits=True)
            assert repr(name) in message
            assert "letters" in message

    def test_an_own_terminal_of_no_tree_type(self) -> None:
        terminal = Terminal("mine", float, "w", "one's own", ("depth",))
        message = refusal(statistics=[terminal], operators=["abs"], ends_in_bits=True)
        assert "'mine' has type float" in message
        assert "LayerVector" in message

    def test_a_template_that_does_not_fit_the_arguments(self) -> None:
        operator = Operator("double", 1, Role.ELEMENTWISE, torch.abs, "2x", "2·{1}")
        message = refusal(statistics=["depth"], operators=[operator], ends_in_bits=True)
        assert "'double'" in message
        assert "template '2·{1}'" in message


def raising(x: torch.Tensor) -> torch.Tensor:
    if (x < 0).any():
        raise ValueError("negative")
    return x


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (raising, "raises ValueError on negative ones"),
        (lambda x: x > 0, "must give a floating-point tensor on zeros, got torch.bool"),
        (lambda x: 1.0, "must give a floating-point tensor on zeros, got float"),
        (lambda x: x.sum(), r"gives shape \(\) on zeros"),
    ],
)
def test_an_own_operator_is_probed_when_it_is_registered(function, complaint) -> None:
    operator = Operator("mine", 1, Role.ELEMENTWISE, function, "?", "mine({0})")
    message = refusal(statistics=["weight"], operators=[operator, "mean"], ends_in_bits=True)
    assert re.search(f"operator 'mine' {complaint}", message)


def test_own_operators_and_terminals_work_beside_built_in_ones() -> None:
    cube = Operator("cube", 1, Role.ELEMENTWISE, lambda x: x**3, "x³", "({0})³", odd=True)
    width = Terminal(
        "width", LayerVector, "w", "weights per row", ("parameter_count", "depth"),
        lambda parameters, depth: parameters / (depth + 1),
    )  # fmt: skip
    mine = make(statistics=["weight", width], operators=[cube, "mean"], ends_in_bits=True)
    kinds = [overload.arguments[0] for overload in mine.overloads_of("cube")]
    assert kinds == [Weights, LayerVector]
    assert mine.needs == ("depth", "parameter_count", "weight")


def test_operators_are_registered_for_the_types_that_the_set_can_build_alone() -> None:
    mine = make(statistics=["weight"], operators=["abs", "mean"], ends_in_bits=True)
    assert {o.arguments[0] for o in mine.overloads_of("abs")} == {Weights, LayerVector}
    bit_aware = make(statistics=["quantization_perturbation"], operators=["abs", "mean"])
    assert {o.arguments[0] for o in bit_aware.overloads_of("abs")} == {WeightsPerBit, BitTable}


def test_a_statistic_may_be_a_tensor_and_an_input_at_once() -> None:
    both = make(
        statistics=["activation"],
        inputs=["activation"],
        unary_values=["abs"],
        operators=["sequential", "mean"],
        ends_in_bits=True,
    )
    assert {leaf.ret for leaf in both.leaves("activation")} == {Activations, Input}


def test_every_statistic_has_a_symbol_and_a_line() -> None:
    symbols = [terminal.symbol for terminal in STATISTICS.values()]
    assert len(set(symbols)) == len(symbols)
    for terminal in STATISTICS.values():
        assert terminal.description
        assert "\n" not in terminal.description
    for operator in OPERATORS.values():
        assert operator.formula
