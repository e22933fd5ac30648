"""Random trees are well typed, as deep as asked, and never fail to be made."""

import random

import pytest
from deap import gp
from hypothesis import given, settings
from hypothesis import strategies as st

from gp_emq.evolution._generation import generate
from gp_emq.evolution._screening import depth_of
from gp_emq.proxies import language, to_expression
from primitives import BitTable, load_primitive_set, primitive_set_names

SETS = {name: load_primitive_set(name) for name in primitive_set_names()}
SETS["language"] = language()


def type_of(tree, primitive_set) -> type:
    """Check every argument against its signature, and give the type of the root."""
    stack = []
    for node in reversed(tree):
        arguments = tuple(stack.pop() for _ in range(node.arity))
        if node.arity:
            assert primitive_set.overloads[node.name].arguments == arguments
        else:
            assert node in primitive_set.terminals[node.ret]
        stack.append(node.ret)
    (kind,) = stack
    return kind


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), depths=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_any_set_gives_trees_of_any_of_its_types_at_any_depth(name, seed, depths) -> None:
    primitive_set, (low, high) = SETS[name], sorted(depths)
    for kind, least in primitive_set.minimum_depths.items():
        tree = generate(primitive_set, low, high, kind, rng=random.Random(seed))
        assert type_of(tree, primitive_set) is kind
        assert depth_of(tree) <= max(high, least)


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6), low=st.integers(1, 4))
def test_where_types_allow_a_tree_is_at_least_as_deep_as_asked(seed, low) -> None:
    tree = generate(SETS["bit_aware"], low, low + 2, rng=random.Random(seed))
    assert depth_of(tree) >= low


def test_all_depths_between_the_bounds_come_up() -> None:
    depths = {
        depth_of(generate(SETS["bit_aware"], 1, 5, rng=random.Random(seed))) for seed in range(300)
    }
    assert depths == {1, 2, 3, 4, 5}


def test_deaps_own_generator_fails_on_our_sets_and_ours_does_not() -> None:
    failures = dict.fromkeys(SETS, 0)
    state = random.getstate()
    try:
        for name, primitive_set in SETS.items():
            for seed in range(80):
                random.seed(seed)
                try:
                    gp.genHalfAndHalf(primitive_set, 1, 4)
                except IndexError:
                    failures[name] += 1
                assert generate(primitive_set, 1, 4, rng=random.Random(seed))
    finally:
        random.setstate(state)
    assert all(failures.values())


def test_the_global_generator_is_neither_read_nor_moved() -> None:
    state = random.getstate()
    one = to_expression(generate(SETS["emq"], 1, 5, rng=random.Random(1)), SETS["emq"])
    assert random.getstate() == state
    random.seed(99)
    assert to_expression(generate(SETS["emq"], 1, 5, rng=random.Random(1)), SETS["emq"]) == one
    random.setstate(state)


def test_operators_are_drawn_as_often_as_their_weights_say() -> None:
    primitive_set = SETS["weights_only"]
    names = [p.name for p in primitive_set.primitives[BitTable]]
    weights = dict.fromkeys(names, 0.0) | {"square__t": 1.0, "abs__t": 3.0}
    counts = dict.fromkeys(names, 0)
    for seed in range(2000):
        tree = generate(primitive_set, 1, 1, rng=random.Random(seed), weights=weights)
        counts[tree[0].name] += 1
    assert {name for name, count in counts.items() if count} == {"square__t", "abs__t"}
    assert counts["abs__t"] == pytest.approx(1500, abs=80)


def test_operators_chosen_as_values_are_weighed_too() -> None:
    primitive_set = SETS["sequential"]
    unary = {leaf.name for leaves in primitive_set.terminals.values() for leaf in leaves}
    weights = dict.fromkeys(unary - {"abs", "weight"}, 0.0)
    tree = generate(primitive_set, 1, 2, rng=random.Random(0), weights=weights)
    assert [node.name for node in tree[2:]] == ["weight", "abs", "abs", "abs", "abs"]
