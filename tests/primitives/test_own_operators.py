"""An operator of a user's own is tried before a set takes it, and guarded against afterwards."""

import itertools
import random

import numpy as np
import pytest
import torch
from synthetic import synthetic_statistics

from gp_emq.errors import OperatorError, PrimitiveSetError
from gp_emq.evolution._generation import generate
from gp_emq.evolution._screening import TableScreen
from gp_emq.proxies import Evaluator, parse_expression, to_expression
from primitives import (
    OPERATORS,
    BitTable,
    LayerVector,
    Matrices,
    Operator,
    PrimitiveSet,
    Role,
    Terminal,
    Weights,
    load_primitive_set,
)
from primitives._probe import check_operator

STATISTICS = synthetic_statistics(3)


def own(function, kind: Role = Role.ELEMENTWISE, arity: int = 1, **declared) -> Operator:
    arguments = ", ".join("{" + str(place) + "}" for place in range(arity))
    return Operator("mine", arity, kind, function, "?", f"mine({arguments})", **declared)


def set_of(*operators, statistics=("weight", "quantization_perturbation", "depth")) -> PrimitiveSet:
    return PrimitiveSet(
        "own", "an operator of one's own", statistics=statistics,
        operators=(*operators, "sum", "square", "multiply"),
    )  # fmt: skip


def refusal(operator: Operator) -> str:
    with pytest.raises(PrimitiveSetError) as caught:
        set_of(operator)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", [name for name in OPERATORS if name not in ("power", "scaled", "times_bits")]
)
def test_built_in_operators_are_what_is_asked_of_others(name) -> None:
    check_operator(OPERATORS[name])


counter = itertools.count()


@pytest.mark.parametrize(
    ("operator", "complaint"),
    [
        (own(lambda x: x.mul_(2)), "changes its argument in place on negative ones"),
        (own(lambda x, y: y.add_(x).clone(), arity=2), "changes its argument in place"),
        (own(lambda x: x.clamp_(max=1).sum(-1), Role.REDUCTION), "in place on mixed signs"),
        (own(lambda x: x.sub_(x.mean()), Role.NORMALISER), "in place on negative ones"),
        (own(lambda x: x.fill_diagonal_(0) @ x.T, Role.MATRIX), "in place on negative ones"),
        (own(torch.rand_like), "gives something else each time it is called on zeros"),
        (own(lambda x: x + next(counter)), "gives something else each time"),
        (own(lambda x: x.double()), "gives torch.float64 for torch.float32 on zeros"),
        (own(lambda x: x.float()), "gives torch.float32 for torch.float64 on zeros"),
        (own(lambda x: x.reshape(3, 4)), "raises RuntimeError on a tensor of shape (5,)"),
        (own(lambda x, y: torch.stack([x, y]).sum(0), arity=2),
         "raises RuntimeError on a tensor and one with a bit axis"),
        (own(lambda x: x / x.abs().max()), "depends on other rows"),
        (own(lambda x: x - x.mean(-1, keepdim=True)), "depends on other elements"),
        (own(lambda x: x.sum(-1) / x.abs().max(), Role.REDUCTION), "depends on other rows"),
        (own(lambda x: x.sum(), Role.REDUCTION), "gives shape ()"),
        (own(lambda x, y: x - 2 * y, arity=2, commutative=True), "is declared commutative"),
        (own(lambda x: 2 * x, involution=True), "is declared involution"),
        (own(lambda x: 2 * x, idempotent=True), "is declared idempotent"),
        (own(torch.exp, even=True), "is declared even"),
        (own(torch.exp, odd=True), "is declared odd"),
        (own(torch.clone, of_magnitude=True), "is declared of_magnitude"),
        (own(torch.clone, non_negative=True), "is declared non_negative"),
        (own(torch.exp, keeps_zero=True), "is declared keeps_zero"),
        (own(torch.neg, keeps_non_negative=True), "is declared keeps_non_negative"),
        (own(torch.add, arity=2, antisymmetric=True), "is declared antisymmetric"),
        (own(torch.add, arity=2, odd_in_each=True), "is declared odd_in_each"),
        (own(lambda x: x.amax(-1), Role.REDUCTION, mirror="mean"), "to go with 'mean'"),
        (own(torch.sub, arity=2, converse="less"), "to go with 'less'"),
        (own(torch.abs, identities=("mine(x) = x",)), "'mine(x) = x' of operator 'mine' does not"),
        (own(torch.abs, identities=("mine(q) = x",)), "has 'q'; it may have x, y, z"),
        (own(torch.abs, identities=("mine(x) == x",)), "'mine(x) == x' is no identity"),
        (own(torch.abs, identities=("mine(x = x",)), "is no expression"),
    ],
)  # fmt: skip
def test_what_an_operator_must_not_do(operator, complaint) -> None:
    assert complaint in refusal(operator)


@pytest.mark.parametrize(
    "operator",
    [
        own(lambda x: x.clone().mul_(2)),
        own(lambda x: x),
        own(lambda x: x.clamp(-1, 1).exp()),
        own(lambda x, y: torch.where(x > y, x, y), arity=2, commutative=True),
        own(lambda x: x - x.median(), Role.NORMALISER),
        own(lambda x: x.abs().amax(-1) - x.mean(-1), Role.REDUCTION),
        own(lambda x, y: (x - y).abs().amax(-1), Role.REDUCTION, 2),
        own(lambda x: x @ x.T / x.shape[1], Role.MATRIX),
        own(torch.trace, Role.MATRIX_REDUCTION),
    ],
)
def test_what_an_operator_may_do(operator) -> None:
    check_operator(operator)


def test_an_own_terminal_is_no_matrix() -> None:

    with pytest.raises(PrimitiveSetError, match="'mine' has type Matrices"):
        set_of(statistics=[Terminal("mine", Matrices, "x", "mine", ("weight",))])


def table(primitive_set: PrimitiveSet, expression: str, statistics=STATISTICS) -> np.ndarray:
    tree = parse_expression(expression, primitive_set)
    return Evaluator(primitive_set, statistics).table(tree).numpy()


PLAIN = "sum(square(multiply(weight, quantization_perturbation)))"
OF_MINE = "sum(square(multiply(mine(weight), quantization_perturbation)))"


def in_place_if_large(x: torch.Tensor) -> torch.Tensor:
    return x.mul_(2) if x.numel() > 24 else x * 2


def test_what_writes_into_its_argument_in_the_run_alone_changes_no_statistic() -> None:
    primitive_set = set_of(own(in_place_if_large))
    weight = STATISTICS.tensor("weight")
    before, plain = weight.clone(), table(primitive_set, PLAIN)
    assert weight.numel() > 24
    found = table(primitive_set, OF_MINE)
    assert torch.equal(weight, before)
    np.testing.assert_array_equal(table(primitive_set, PLAIN), plain)
    # (2 w p)² = 4 (w p)², exactly in binary.
    np.testing.assert_array_equal(found, 4 * plain)


def test_a_terminal_that_writes_into_its_statistic_changes_nothing_else() -> None:
    mine = Terminal("mine", Weights, "x", "mine", ("weight",), lambda weight: weight.mul_(2))
    primitive_set = set_of(statistics=["weight", "quantization_perturbation", mine])
    before = STATISTICS.tensor("weight").clone()
    plain = table(primitive_set, PLAIN)
    doubled = table(primitive_set, PLAIN.replace("weight", "mine"))
    np.testing.assert_array_equal(doubled, 4 * plain)
    assert torch.equal(STATISTICS.tensor("weight"), before)


def raising(x: torch.Tensor) -> torch.Tensor:
    if x.numel() > 24:
        raise RuntimeError("too large\nfor me")
    return x / 2


def flattening(x: torch.Tensor) -> torch.Tensor:
    return x.sum().reshape(()) if x.numel() > 24 else x


def widening(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.numel() > 24 else x


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raising, "operator failed: mine raises RuntimeError"),
        (flattening, "operator failed: mine gives a wrong shape"),
        (widening, "operator failed: mine gives torch.float64 for torch.float32"),
    ],
)
def test_an_operator_that_fails_in_a_run_costs_the_trees_it_is_in_and_no_others(
    function, reason
) -> None:
    primitive_set, healthy = set_of(own(function)), set_of(own(lambda x: x / 2))
    random_trees = [generate(primitive_set, 1, 5, rng=random.Random(seed)) for seed in range(60)]
    expressions = [to_expression(tree, primitive_set) for tree in random_trees]
    results = TableScreen(primitive_set, STATISTICS).tables(random_trees)
    alone = TableScreen(healthy, STATISTICS)
    failed = 0
    for expression, tree, result in zip(expressions, random_trees, results, strict=True):
        if isinstance(result, str) and result.startswith("operator failed"):
            assert result == reason
            assert "mine" in expression
            failed += 1
            continue
        (expected,) = alone.tables([parse_expression(expression, healthy)])
        if "mine" in expression:
            continue
        assert isinstance(result, str) == isinstance(expected, str), expression
        if isinstance(result, str):
            assert result == expected
        else:
            np.testing.assert_array_equal(result, expected)
        assert tree
    assert 5 < failed < 55


def test_what_fails_is_one_clear_line() -> None:
    with pytest.raises(OperatorError, match="operator 'mine' raises RuntimeError: too large for"):
        table(set_of(own(raising)), OF_MINE)


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        (Role.NORMALISER, "sum(multiply(mine(weight), quantization_perturbation))"),
        (Role.ELEMENTWISE, "multiply(depth, sum(mine(quantization_perturbation)))"),
        (Role.REDUCTION, "mine(quantization_perturbation)"),
        (
            Role.MATRIX,
            "multiply(log_determinant(mine(weight)), sum(quantization_perturbation))",
        ),
    ],
)
def test_failures_are_caught_wherever_an_operator_may_stand(kind, expression) -> None:
    calls = itertools.count()

    def fails_at_last(x: torch.Tensor) -> torch.Tensor:
        if armed and next(calls) >= 0:
            raise ValueError("now")
        if kind is Role.REDUCTION:
            return x.sum(-1)
        return x @ x.T if kind is Role.MATRIX else x

    armed = False
    operators = [own(fails_at_last, kind)]
    if kind is Role.MATRIX:
        operators.append("log_determinant")
    primitive_set = set_of(*operators)
    tree = parse_expression(expression, primitive_set)
    evaluator = Evaluator(primitive_set, STATISTICS, cache_bytes=0)
    good = parse_expression("sum(quantization_perturbation)", primitive_set)
    fine = evaluator.table(good)
    armed = True
    failed, result = evaluator.tables([tree, good])
    assert isinstance(failed, OperatorError)
    assert torch.equal(result, fine)


def test_an_operator_that_fails_inside_a_fixed_structure_costs_the_tree() -> None:
    primitive_set = PrimitiveSet(
        "own", "a structure with an operator of one's own", inputs=["weight"],
        unary_values=[own(raising), "abs"], operators=["sequential"], ends_in_bits=True,
    )  # fmt: skip
    assert primitive_set.has_own_code
    large, small = (
        parse_expression(f"times_bits(sequential(weight, {name}, abs, abs, abs))", primitive_set)
        for name in ("mine", "abs")
    )
    first, second = TableScreen(primitive_set, STATISTICS).tables([large, small])
    assert first == "operator failed: mine raises RuntimeError"
    assert not isinstance(second, str)


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (lambda bits: bits[:, :1], "mine gives a wrong shape"),
        (lambda bits: bits.float(), "mine gives a wrong type"),
        (lambda bits: bits.tolist(), "mine gives no floating-point tensor"),
        (lambda bits: bits[100], "mine raises IndexError"),
    ],
)
def test_a_terminal_that_is_not_what_its_type_says_costs_the_trees_it_is_in(
    compute, reason
) -> None:
    mine = Terminal("mine", BitTable, "x", "mine", ("bits",), compute)
    primitive_set = set_of(statistics=["quantization_perturbation", "weight", mine])
    trees = [parse_expression(text, primitive_set) for text in ("square(mine)", PLAIN)]
    first, second = TableScreen(primitive_set, STATISTICS).tables(trees)
    assert first == f"operator failed: {reason}"
    assert not isinstance(second, str)


def test_running_out_of_memory_is_no_fault_of_the_operator() -> None:
    def hungry(x: torch.Tensor) -> torch.Tensor:
        if x.numel() > 24:
            raise MemoryError
        return x

    with pytest.raises(MemoryError):
        table(set_of(own(hungry)), OF_MINE)


def test_a_set_knows_whether_code_of_its_users_is_in_it() -> None:
    assert set_of(own(raising)).has_own_code
    mine = Terminal("mine", LayerVector, "x", "mine", ("depth",))
    assert set_of(statistics=["weight", "quantization_perturbation", mine]).has_own_code
    assert not set_of().has_own_code
    assert not load_primitive_set("bit_aware").has_own_code
    assert not load_primitive_set("branched").has_own_code
