"""Evaluating random trees on ResNet-18's shapes: ours, eager loops, and the floor."""

import random

import torch

from benchmarks.plain import PlainContext, interpret
from benchmarks.shapes import random_statistics
from benchmarks.timing import Row, compare, seconds_to_read
from gp_emq.determinism import one_thread
from gp_emq.evolution._generation import generate
from gp_emq.evolution._screening import StructureScreen
from gp_emq.proxies import Evaluator, Node
from gp_emq.statistics import Statistics
from primitives import PrimitiveSet, load_primitive_set

SIMPLE = ("add", "subtract", "multiply", "abs", "square", "relu")
"""Operators of the trees that are held against the floor."""


def typed_trees(primitive_set: PrimitiveSet, count: int, seed: int = 0) -> list[list[Node]]:
    """Draw trees as a search draws its first generation."""
    rng = random.Random(seed)
    screen = StructureScreen(primitive_set, max_size=30, max_depth=8)
    trees: list[list[Node]] = []
    while len(trees) < count:
        tree = generate(primitive_set, 1, 5, rng=rng)
        if screen.reason(tree) is None:
            trees.append(tree)
    return trees


def simple_trees(primitive_set: PrimitiveSet, count: int, seed: int = 0) -> list[list[Node]]:
    """Draw trees that take one mean of at most four simple operators on tensors."""
    rng = random.Random(seed)
    trees: list[list[Node]] = []
    while len(trees) < count:
        tree = generate(primitive_set, 3, 5, rng=rng)
        names = [node.name.split("__")[0] for node in tree if node.arity]
        if names[:2] == ["times_bits", "mean"] and 1 <= len(names) - 2 <= 4:
            trees.append(tree)
    return trees


def benchmark(network: str = "resnet18", count: int = 200) -> list[Row]:
    """Measure evaluation on weights, on activations, and against the floor.

    Args:
        network: Whose shapes.
        count: Trees of each kind.
    """
    with one_thread(), torch.no_grad():
        statistics = random_statistics(network)
        weights = PrimitiveSet(
            "weights", "", statistics=("weight", "weight_gradient", "fisher_diagonal"),
            operators=_free_operators(), ends_in_bits=True,
        )  # fmt: skip
        activations = PrimitiveSet(
            "activations", "", statistics=("activation", "activation_gradient"),
            operators=_free_operators(), ends_in_bits=True,
        )  # fmt: skip
        simple = PrimitiveSet(
            "simple", "",
            statistics=("weight", "weight_gradient", "fisher_diagonal", "hessian_diagonal"),
            operators=(*SIMPLE, "mean"), ends_in_bits=True,
        )  # fmt: skip
        return [
            *(
                _against_eager(
                    f"{count} random trees on {one.name}, {network}'s shapes",
                    typed_trees(one, count),
                    one,
                    statistics,
                )
                for one in (weights, activations)
            ),
            _against_floor(simple_trees(simple, count), simple, statistics),
        ]


def _free_operators() -> tuple[str, ...]:
    return tuple(
        name
        for name in load_primitive_set("bit_aware").operator_names
        if name not in ("gram", "log_determinant")
    )


def _against_eager(
    what: str, trees: list[list[Node]], primitive_set: PrimitiveSet, statistics: Statistics
) -> Row:
    context = PlainContext(primitive_set, statistics)

    def ours() -> None:
        Evaluator(primitive_set, statistics).tables(trees)

    def eager() -> None:
        for tree in trees:
            interpret(tree, context)

    return compare(what, ours, "eager loop over layers, no caches", eager, repeats=1)


def _against_floor(
    trees: list[list[Node]], primitive_set: PrimitiveSet, statistics: Statistics
) -> Row:
    one = seconds_to_read([statistics.tensor(name) for name in primitive_set.statistics])
    inputs = sum(len({node.name for node in tree if not node.arity}) for tree in trees)
    floor = one * inputs
    row = compare(
        f"{len(trees)} trees of at most four of {', '.join(SIMPLE)}",
        lambda: Evaluator(primitive_set, statistics).tables(trees),
        "reading each tree's inputs once",
        lambda: None,
    )
    return Row(row.name, row.ours, row.baseline, floor, row.ours / floor, floor=True)
