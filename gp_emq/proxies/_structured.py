"""EMQ's fixed structures, evaluated layer by layer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gp_emq.proxies._expression import Node
from gp_emq.statistics import Layout
from primitives import Input, Overload, PrimitiveSet, as_value

StructureInput = Callable[[Node], tuple[list[Tensor], Layout]]
"""Gives an input's tensor of every layer, and how they lie."""


def evaluate_structure(
    overload: Overload,
    nodes: Sequence[Node],
    primitive_set: PrimitiveSet,
    structure_input: StructureInput,
) -> Tensor:
    """Evaluate a fixed structure on every layer.

    Args:
        overload: The structure.
        nodes: Its arguments: inputs, and operators as values.
        primitive_set: Where operators are looked up.
        structure_input: Where inputs come from.

    Returns:
        float64 (entries,); over tied layers the mean weights by the elements of the first input.

    Raises:
        ShapeMismatchError: Two tensors inside the structure do not fit.
    """
    arguments: list[Any] = []
    layers: list[list[Tensor]] = []
    layouts: list[Layout] = []
    for node, kind in zip(nodes, overload.arguments, strict=True):
        if kind is Input:
            tensors, layout = structure_input(node)
            layouts.append(layout)
            layers.append(tensors)
            arguments.append(tensors)
        else:
            arguments.append(as_value(primitive_set.operator_values[node.name]))
    entries = layouts[0].entries
    totals = torch.zeros(entries[-1] + 1, dtype=torch.float64)
    weights = torch.zeros_like(totals)
    for layer, entry in enumerate(entries):
        call = [
            argument[layer] if kind is Input else argument
            for argument, kind in zip(arguments, overload.arguments, strict=True)
        ]
        share = layers[0][layer].numel()
        totals[entry] += float(overload.operator.function(*call)) * share
        weights[entry] += share
    return (totals / weights).to(layers[0][0].device)
