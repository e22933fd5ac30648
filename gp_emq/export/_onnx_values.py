"""Reading an ONNX graph: constants, what follows a value, and taking out what nothing reads."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_UNCHANGED = {"Cast", "CastLike", "Expand", "Identity"}
"""Operators whose result has the numbers of their first input, perhaps repeated."""


def constant(value: ir.Value | None) -> NDArray[np.float64] | None:
    """Return the numbers of a value, or one of them where they are one number repeated.

    Args:
        value: Of a graph.

    Returns:
        `None` where they are not known before the graph runs.
    """
    if value is None:
        return None
    if value.const_value is not None:
        return np.asarray(value.const_value.numpy(), dtype=np.float64)
    node = value.producer()
    if node is None or (not node.inputs and node.op_type != "Constant"):
        return None
    if node.op_type == "Constant":
        ((name, attribute),) = node.attributes.items()
        given = attribute.as_tensor().numpy() if name == "value" else attribute.value
        return np.asarray(given, dtype=np.float64)
    known = constant(node.inputs[0]) if node.op_type in _UNCHANGED else None
    return known if node.op_type != "Expand" or known is None or known.size == 1 else None


def readers(value: ir.Value) -> list[ir.Node] | None:
    """Return the nodes that read a value as their first input and nowhere else.

    Args:
        value: Of a graph.

    Returns:
        `None` where the graph gives the value, or one reads it as another input.
    """
    uses = value.uses()
    if value.is_graph_output() or any(use.idx != 0 for use in uses):
        return None
    return [use.node for use in uses]


def only_reader(value: ir.Value, *operators: str) -> ir.Node | None:
    """Return the one node that reads a value, if it is one of some operators.

    Args:
        value: Of a graph.
        operators: Names of ONNX's operators.
    """
    found = readers(value)
    if found is None or len(found) != 1 or found[0].op_type not in operators:
        return None
    return found[0]


def settle_constants(graph: ir.Graph) -> None:
    """Take out what hides constants: casts to the type of some value, and biases of zeros.

    Args:
        graph: As it was traced; it is changed.
    """
    for node in list(graph):
        if node.op_type == "CastLike":
            numbers, like = constant(node.inputs[0]), node.inputs[1]
            kind = None if like is None else like.dtype
            if numbers is not None and kind == ir.DataType.FLOAT:
                tensor = ir.Tensor(numbers.astype(np.float32))
                settled = ir.node("Constant", [], {"value": tensor}, name=node.name)
                settled.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
                settled.outputs[0].shape = ir.Shape(numbers.shape)
                graph.insert_before(node, settled)
                ir.convenience.replace_all_uses_with(node.outputs[0], settled.outputs[0])
                discard(node.outputs[0])
        elif node.op_type == "Conv" and len(node.inputs) > 2:
            bias = node.inputs[2]
            numbers = constant(bias)
            if bias is not None and bias.producer() and numbers is not None and not numbers.any():
                node.resize_inputs(2)
                discard(bias)


def discard(value: ir.Value | None) -> None:
    """Take a value out of its graph, with all that nothing but it has read; not if it is read.

    Args:
        value: Of a graph.
    """
    if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    node = value.producer()
    if node is None:
        if value.graph is not None and value.name is not None:
            value.graph.initializers.pop(value.name, None)
    elif not any(output.uses() or output.is_graph_output() for output in node.outputs):
        inputs = list(node.inputs)
        if node.graph is not None:
            node.graph.remove(node, safe=True)
        for taken in inputs:
            discard(taken)
