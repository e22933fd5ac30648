"""Offspring are well typed, parents stay as they are, and only the seed decides."""

import hashlib
import itertools
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_generation import SETS, type_of

from gp_emq.evolution._generation import generate
from gp_emq.evolution._screening import depth_of
from gp_emq.evolution._variation import MUTATIONS, cx_one_point, mutate
from gp_emq.proxies import parse_expression, to_expression
from gp_emq.proxies._canonical import canonical_form
from primitives import BitTable

MUTATION_BY_NAME = {mutation.__name__: mutation for mutation, _ in MUTATIONS}
SEEDS = st.integers(0, 10**6)


def tree_of(name: str, seed: int):
    return generate(SETS[name], 1, 5, rng=random.Random(seed))


def names(tree) -> Counter[str]:
    return Counter(node.name for node in tree)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=40)
@given(one=SEEDS, other=SEEDS, seed=SEEDS)
def test_crossover_exchanges_subtrees_of_one_type(name, one, other, seed) -> None:
    first, second = tree_of(name, one), tree_of(name, other)
    before = list(first), list(second)
    children = cx_one_point(first, second, rng=random.Random(seed))
    for child in children:
        assert type_of(child, SETS[name]) is BitTable
        assert child[0] in (first[0], second[0]), "roots stay where they are"
    assert names(children[0]) + names(children[1]) == names(first) + names(second)
    assert (first, second) == before


def test_parents_without_a_common_type_are_copied() -> None:
    leaf = parse_expression("bits", SETS["bit_aware"])
    other = parse_expression("mean(quantization_perturbation)", SETS["bit_aware"])
    children = cx_one_point(leaf, other, rng=random.Random(0))
    assert children == (list(leaf), list(other))
    assert children[0] is not leaf


@pytest.mark.parametrize("mutation", MUTATION_BY_NAME)
@pytest.mark.parametrize("name", SETS)
@settings(max_examples=25)
@given(one=SEEDS, seed=SEEDS)
def test_mutants_are_well_typed_and_parents_stay(name, mutation, one, seed) -> None:
    parent = tree_of(name, one)
    before = list(parent)
    child = MUTATION_BY_NAME[mutation](
        parent, primitive_set=SETS[name], rng=random.Random(seed), weights={}
    )
    assert type_of(child, SETS[name]) is BitTable
    assert parent == before
    assert child is not parent


def mutant(mutation: str, parent, seed: int, weights=()):
    return MUTATION_BY_NAME[mutation](
        parent, primitive_set=SETS["bit_aware"], rng=random.Random(seed), weights=dict(weights)
    )


@settings(max_examples=60)
@given(one=SEEDS, seed=SEEDS)
def test_replacing_a_node_changes_one_node_at_most(one, seed) -> None:
    parent = tree_of("bit_aware", one)
    child = mutant("mut_node_replacement", parent, seed)
    assert len(child) == len(parent)
    changed = [(a, b) for a, b in zip(parent, child, strict=True) if a.name != b.name]
    assert len(changed) <= 1
    for before, after in changed:
        assert (before.ret, before.arity) == (after.ret, after.arity)


@settings(max_examples=60)
@given(one=SEEDS, seed=SEEDS)
def test_inserting_keeps_all_there_was_one_level_deeper_at_most(one, seed) -> None:
    parent = tree_of("bit_aware", one)
    child = mutant("mut_insert", parent, seed)
    assert not names(parent) - names(child)
    # Nothing can stand above an exponent; then the child is a copy.
    assert len(child) > len(parent) or child == list(parent)
    assert depth_of(child) <= depth_of(parent) + 2


@settings(max_examples=60)
@given(one=SEEDS, seed=SEEDS)
def test_shrinking_only_takes_away(one, seed) -> None:
    parent = tree_of("bit_aware", one)
    child = mutant("mut_shrink", parent, seed)
    assert not names(child) - names(parent)
    assert depth_of(child) <= depth_of(parent)


@pytest.mark.parametrize("mutation", MUTATION_BY_NAME)
def test_constants_that_a_seed_brings_along_may_stay_move_or_go(mutation) -> None:
    body = "power(add(scaled(mean(weight), 0.35), maximum(weight)), 1.4)"
    expressions = {"bit_aware": f"multiply({body}, bits)", "emq": f"times_bits({body})"}
    for name, text in expressions.items():
        tree = parse_expression(text, SETS[name])
        for seed in range(60):
            mutant = MUTATION_BY_NAME[mutation](
                tree, primitive_set=SETS[name], rng=random.Random(seed), weights={}
            )
            again = to_expression(mutant, SETS[name])
            assert parse_expression(again, SETS[name]) == mutant


def test_mutations_draw_operators_by_their_weights() -> None:
    parent = parse_expression("square(bits)", SETS["bit_aware"])
    weights = {p.name: 0.0 for p in SETS["bit_aware"].primitives[BitTable]} | {"exp__t": 1.0}
    children = [mutant("mut_node_replacement", parent, seed, weights.items()) for seed in range(40)]
    assert {child[0].name for child in children} == {"square__t", "exp__t"}


def test_mutants_of_one_tree_are_many() -> None:
    primitive_set, parent = SETS["bit_aware"], tree_of("bit_aware", 5)
    children = {
        to_expression(
            mutate(parent, primitive_set=primitive_set, rng=random.Random(seed), weights={}),
            primitive_set,
        )
        for seed in range(60)
    }
    assert len(children) > 20


def fingerprint() -> str:
    """Everything that draws or sorts, over many seeds, as one hash."""
    lines = []
    for name, primitive_set in sorted(SETS.items()):
        trees = [tree_of(name, seed) for seed in range(25)]
        for seed, (one, other) in enumerate(itertools.pairwise(trees)):
            children = cx_one_point(one, other, rng=random.Random(seed))
            mutants = [
                mutate(one, primitive_set=primitive_set, rng=random.Random(seed), weights={})
            ]
            lines += [to_expression(tree, primitive_set) for tree in (*children, *mutants)]
            lines.append(canonical_form(one, primitive_set))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.mark.slow
def test_the_hash_seed_decides_nothing() -> None:
    folder = Path(__file__).parent
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    printed = subprocess.run(
        [sys.executable, "-c", "import test_variation; print(test_variation.fingerprint())"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(folder.parents[1])]),
            "PYTHONHASHSEED": other,
        },
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == fingerprint()
