"""EMQ's three fixed structures, as operators whose arguments are inputs and operators.

Inside a structure an operator maps a layer's tensor to a tensor of any rank; where two tensors
do not fit, `ShapeMismatchError` is raised and the screen counts a rejection. A structure's
function takes one layer at a time and gives one number.

Source: EMQ (arXiv 2307.10554), section 3.2.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any

import torch

from primitives._matrices import as_rows
from primitives._operator import Operator, Role, ShapeMismatchError
from primitives._types import BinaryOperator, Input, LayerVector, UnaryOperator

LayerFunction = Callable[..., torch.Tensor]
"""An operator as a value: layer tensors of any rank in, a layer tensor of any rank out."""


def as_value(operator: Operator) -> LayerFunction:
    """Adapt an operator so that it takes one layer's tensors of any rank.

    Args:
        operator: Any operator but a structure.

    Returns:
        A function of as many tensors as the operator has arguments.
    """

    def apply(*tensors: torch.Tensor) -> torch.Tensor:
        if operator.kind in (Role.MATRIX, Role.MATRIX_REDUCTION):
            return operator.function(*(as_rows(tensor) for tensor in tensors))
        if len({tensor.shape for tensor in tensors if tensor.ndim}) > 1:
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise ShapeMismatchError(f"{operator.name} of {shapes}")
        if operator.kind is Role.REDUCTION:
            return operator.function(*(tensor.reshape(-1) for tensor in tensors))
        return operator.function(*tensors)

    return apply


def _sum_of(tensors: list[torch.Tensor]) -> torch.Tensor:
    total = tensors[0]
    for tensor in tensors[1:]:
        if total.ndim and tensor.ndim and total.shape != tensor.shape:
            raise ShapeMismatchError(f"sum of {tuple(total.shape)} and {tuple(tensor.shape)}")
        total = total + tensor
    return total


def _sequential(x: torch.Tensor, *operators: LayerFunction) -> torch.Tensor:
    for operator in operators:
        x = operator(x)
    return x.mean()


def _branched(combine: LayerFunction, *branches: Any) -> torch.Tensor:
    x, first_x, second_x, y, first_y, second_y = branches
    return combine(second_x(first_x(x)).mean(), second_y(first_y(y)).mean()).mean()


DAG_NODES = 3
"""Nodes of the DAG structure; node i sums i + 2 edges, counting from 0."""

DAG_EDGES = sum(node + 2 for node in range(DAG_NODES))
"""Unary edges of the DAG structure: 2 + 3 + 4."""


def _dag(x: torch.Tensor, y: torch.Tensor, *operators: LayerFunction) -> torch.Tensor:
    states = [x, y]
    edges = iter(operators)
    for node in range(DAG_NODES):
        sources = states[: node + 2]
        states.append(
            _sum_of(
                [
                    edge(source)
                    for edge, source in zip(islice(edges, node + 2), sources, strict=True)
                ]
            )
        )
    return torch.stack([state.mean() for state in states[2:]]).mean()


SEQUENTIAL = Operator(
    "sequential", 5, Role.STRUCTURE, _sequential,
    formula="mean op₄(op₃(op₂(op₁(x))))",
    template="mean({4} ∘ {3} ∘ {2} ∘ {1})({0})",
    signatures=(((Input, *([UnaryOperator] * 4)), LayerVector),))  # fmt: skip

BRANCHED = Operator(
    "branched", 7, Role.STRUCTURE, _branched,
    formula="binary(mean op₂(op₁(x)), mean op₄(op₃(y)))",
    template="{0}(mean({3} ∘ {2})({1}), mean({6} ∘ {5})({4}))",
    signatures=(
        ((BinaryOperator, *[Input, UnaryOperator, UnaryOperator] * 2), LayerVector),
    ))  # fmt: skip

DAG = Operator(
    "dag", 2 + DAG_EDGES, Role.STRUCTURE, _dag,
    formula="mean over nodes; node i sums i + 2 unary edges from inputs and earlier nodes",
    template="mean of n₀ = {2}({0}) + {3}({1}), n₁ = {4}({0}) + {5}({1}) + {6}(n₀), "
    "n₂ = {7}({0}) + {8}({1}) + {9}(n₀) + {10}(n₁)",
    signatures=(((Input, Input, *([UnaryOperator] * DAG_EDGES)), LayerVector),))  # fmt: skip
