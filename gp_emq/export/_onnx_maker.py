"""Putting nodes and numbers into an ONNX graph."""

import functools

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from gp_emq.export._onnx_calls import GraphWeight


class Maker:
    """Puts nodes and initializers before a node.

    Args:
        graph: That has it.
        before: The node.
        suffix: Of all names.
    """

    def __init__(self, graph: ir.Graph, before: ir.Node, suffix: str) -> None:
        self._graph, self._before, self._suffix = graph, before, suffix

    def numbers(self, name: str, values: NDArray[np.integer | np.float32]) -> ir.Value:
        """Put in an initializer."""
        name += self._suffix
        tensor = ir.Tensor(values, name=name)
        value = ir.Value(
            name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor
        )
        self._graph.register_initializer(value)
        return value

    def node(
        self, operator: str, inputs: list[ir.Value], name: str, kind: ir.DataType,
        shape: ir.Shape | None, **attributes: int | tuple[int, ...],
    ) -> ir.Value:  # fmt: skip
        """Put in a node of one output."""
        name += self._suffix
        value = ir.Value(name=name, type=ir.TensorType(kind), shape=shape)
        node = ir.node(operator, inputs, attributes, outputs=[value], name=f"{name}.{operator}")
        self._graph.insert_before(self._before, node)
        return value

    def multiplied(
        self, layer: str, weight: GraphWeight, multipliers: NDArray[np.int32]
    ) -> ir.Value:
        """Put in what makes int8 of the integers of a weight."""
        put = functools.partial(self.node, shape=weight.stored.shape)
        name, values = f"{layer}.weight", weight.stored
        plain = values.dtype == ir.DataType.INT8 and weight.zero_point is None
        if plain and (multipliers == 1).all():
            return values
        wide = ir.DataType.INT32
        values = put("Cast", [values], f"{name}.wide", wide, to=int(wide))
        if weight.zero_point is not None:
            zero_point = self.numbers(f"{name}.wide_zero_point", weight.zero_point)
            values = put("Sub", [values, zero_point], f"{name}.centred", wide)
        shaped = multipliers.reshape(-1, *[1] * (weight.integers.ndim - 1))
        column = self.numbers(f"{name}.multipliers", shaped)
        values = put("Mul", [values, column], f"{name}.multiplied", wide)
        narrow = ir.DataType.INT8
        return put("Cast", [values], f"{name}.narrow", narrow, to=int(narrow))
