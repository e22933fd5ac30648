"""Keeping what is to be computed in float from being computed in integers.

Where a convolution or a product takes what comes from integers by one scale, and its output is
rounded to a grid, be it behind an activation, pooling or a change of shape, onnxruntime rounds
weights and biases that are floats to integers as well: a weight to 8 bits by one scale for all of
it, whatever its channels have, and a bias to multiples of the scale of its sums
(`WeightBiasQuantization` in its sources). It leaves alone what takes anything else, such as the
larger of that and the least number.
"""

import numpy as np
import onnx_ir as ir

from gp_emq.export._onnx_values import constant

_TAKE_SUMS = ("Conv", "ConvTranspose", "Gemm")


def keep_in_float(graph: ir.Graph) -> None:
    """Have what takes floats for weight or bias take its input in a way that leaves them floats.

    Args:
        graph: Its convolutions in integers have integers for both; it is changed.
    """
    least: ir.Value | None = None
    for node in list(graph):
        if node.op_type not in _TAKE_SUMS or node.domain or not _may_be_rounded(node):
            continue
        if least is None:
            least = _least(graph)
        taken = node.inputs[0]
        assert taken is not None  # noqa: S101 - narrows; it was looked at
        made = ir.Value(name=f"{node.name}.taken", type=taken.type, shape=taken.shape)
        largest = ir.node("Max", [taken, least], outputs=[made], name=f"{node.name}.Max")
        graph.insert_before(node, largest)
        node.replace_input_with(0, made)


def _may_be_rounded(node: ir.Node) -> bool:
    """Say whether a node takes what comes from integers by one scale, and floats beside.

    Integers for weight and bias are what was meant to be computed in integers.
    """
    taken, weight, bias = (*node.inputs, None)[:3]
    source = None if taken is None else taken.producer()
    if source is None or not _from_integers(taken):
        return False
    scale = constant(source.inputs[1])
    if scale is not None and scale.size > 1:
        return False
    whole = _from_integers(weight) and (bias is None or _from_integers(bias))
    return not whole and _leads_to_rounding(node.outputs[0])


def _leads_to_rounding(value: ir.Value) -> bool:
    """Say whether a value is rounded to a grid, before anything else that is computed joins it."""
    followed, seen = [value], {value}
    while followed:
        for use in followed.pop().uses():
            if use.node.op_type == "QuantizeLinear":
                return True
            others = [other for place, other in enumerate(use.node.inputs) if place != use.idx]
            if not any(map(_is_computed, others)):
                followed += [output for output in use.node.outputs if output not in seen]
                seen.update(use.node.outputs)
    return False


def _is_computed(value: ir.Value | None) -> bool:
    """Say whether a value holds floats that are not known before the graph runs."""
    return value is not None and value.dtype == ir.DataType.FLOAT and constant(value) is None


def _from_integers(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _least(graph: ir.Graph) -> ir.Value:
    """Put the least number in, which is no larger than any other."""
    tensor = ir.Tensor(np.array(np.finfo(np.float32).min, dtype=np.float32), name="least")
    value = ir.Value(
        name="least", type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor
    )
    graph.register_initializer(value)
    return value
