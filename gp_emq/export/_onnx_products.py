"""Rewriting layers whose output stays in float as products of integers.

A convolution of kernels of one position is a product at each position, as a linear layer is one.
onnxruntime computes a MatMul of two dequantized values in integers and gives floats
(`MatMulIntegerToFloat`), which it does not do for a Conv: what ends in a sum or in the output is
computed so. Channels come last in between; onnxruntime moves that through what it can, and joins it
with its own order of a convolution in integers.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from gp_emq.export._onnx_calls import Call, GraphWeight, find_input_scale
from gp_emq.export._onnx_maker import Maker
from gp_emq.export._onnx_values import constant, discard
from gp_emq.quantization import MAX_BITS

Floats = NDArray[np.float64]

_INPUTS = (1 << MAX_BITS) - 1
_SUMS = (1 << 31) - 1
_INTEGERS = (-(1 << (MAX_BITS - 1)), (1 << (MAX_BITS - 1)) - 1)
_NORMAL = float(np.finfo(np.float32).tiny)


def find_products(
    graph: ir.Graph, weights: Mapping[ir.Value, GraphWeight], inputs: Mapping[ir.Value, str]
) -> Iterator[Call]:
    """Find the linear layers of a graph, in its order.

    Args:
        graph: With quantized weights and inputs.
        weights: The values that stand for quantized weights.
        inputs: Names of layers by their rounded inputs.
    """
    for node in list(graph):
        if node.op_type not in ("Gemm", "MatMul") or node.domain:
            continue
        taken, weight = node.inputs[:2]
        if node.op_type == "MatMul":
            weight = _untransposed(weight)
        if taken is None or weight is None or taken not in inputs or weight not in weights:
            continue
        known, scale = weights[weight], find_input_scale(taken)
        summed = _with_bias(node, len(known.integers))
        if scale is not None and summed is not None:
            bias, output = summed
            yield Call(inputs[taken], node, known, scale, known.scale, bias, output)


def _untransposed(value: ir.Value | None) -> ir.Value | None:
    """Return the rows that a value has as columns, if it was made of rows."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "Transpose":
        return None
    order = node.attributes.get("perm")
    return node.inputs[0] if order is None or list(order.as_ints()) == [1, 0] else None


def _with_bias(node: ir.Node, out: int) -> tuple[Floats, ir.Value] | None:
    """Return the bias of a product, and the value that has it; none where it is not known."""
    found = node.outputs[0]
    if node.op_type == "Gemm":
        given = node.inputs[2] if len(node.inputs) > 2 else None
        if not _is_plain(node):
            return None
    else:
        uses = [] if found.is_graph_output() else list(found.uses())
        added = uses[0].node if len(uses) == 1 and uses[0].node.op_type == "Add" else None
        given = None if added is None else added.inputs[1 - uses[0].idx]
        numbers = constant(given)
        if added is None or numbers is None or numbers.shape != (out,):
            return np.zeros(out), found
        found = added.outputs[0]
    bias = np.zeros(out) if given is None else constant(given)
    return None if bias is None or bias.shape != (out,) else (bias, found)


def _is_plain(node: ir.Node) -> bool:
    """Say whether a Gemm multiplies with the transposed second input, and adds the third."""
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    wanted = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    return all(given.get(name, 0 if name == "transB" else of) == of for name, of in wanted.items())


def multiply(call: Call, suffix: str) -> bool:
    """Rewrite a layer as a product of integers, if it is one.

    Args:
        call: Of the layer.
        suffix: Of all names.
    """
    convolution = call.node.op_type == "Conv"
    if convolution and not _is_pointwise(call):
        return False
    scaling = _scaling(call)
    graph, taken = call.node.graph, call.node.inputs[0]
    if scaling is None or graph is None or taken is None:
        return False
    maker, name, kind = Maker(graph, call.node, suffix), call.layer, ir.DataType.FLOAT
    old = list(call.node.inputs)
    if convolution:
        taken = _channels_last(maker, call)
    found = maker.node(
        "MatMul", [taken, _columns(maker, call, *scaling)], f"{name}.product", kind, None
    )
    if call.bias.any():
        # onnxruntime makes a product in float of a MatMul and an Add before it sees the integers.
        bias = maker.numbers(f"{name}.bias.negative", -call.bias.astype(np.float32))
        found = maker.node("Sub", [found, bias], f"{name}.sum", kind, None)
    if convolution:
        rank = call.weight.integers.ndim
        order = (0, rank - 1, *range(1, rank - 1))
        found = maker.node("Transpose", [found], f"{name}.output", kind, None, perm=order)
    found.shape = call.output.shape
    ir.convenience.replace_all_uses_with(call.output, found, replace_graph_outputs=True)
    discard(call.output)
    for replaced in old:
        discard(replaced)
    return True


def _scaling(call: Call) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
    """Return what rows of integers are multiplied by, -1, 0 or 1, and their scales; or neither.

    There is neither where the integers leave int8, sums may leave int32, or scales float32.
    """
    multipliers = np.sign(call.scale).astype(np.int32)
    scale = np.where(call.scale == 0, 1.0, np.abs(call.scale)).astype(np.float32)
    rows = call.weight.integers.reshape(len(multipliers), -1).astype(np.int64)
    rows = rows * multipliers[:, None]
    fits = (
        rows.min() >= _INTEGERS[0]
        and rows.max() <= _INTEGERS[1]
        and np.abs(rows).sum(axis=1).max() * _INPUTS <= _SUMS
        and bool((np.isfinite(scale) & (scale >= _NORMAL)).all())
    )
    return (multipliers, scale) if fits else None


def _columns(
    maker: Maker, call: Call, multipliers: NDArray[np.int32], scale: NDArray[np.float32]
) -> ir.Value:
    """Put in a weight as columns of int8, dequantized."""
    name, narrow = f"{call.layer}.weight", ir.DataType.INT8
    out, width = len(multipliers), call.weight.integers.size // len(multipliers)
    integers = maker.multiplied(call.layer, call.weight, multipliers)
    if call.weight.integers.ndim > 2:
        sides = maker.numbers(f"{name}.sides", np.array([out, width], np.int64))
        shape = ir.Shape((out, width))
        integers = maker.node("Reshape", [integers, sides], f"{name}.rows", narrow, shape)
    columns = maker.node(
        "Transpose", [integers], f"{name}.columns", narrow, ir.Shape((width, out)), perm=(1, 0)
    )
    scales = maker.numbers(f"{name}.column_scale", scale)
    return maker.node(
        "DequantizeLinear", [columns, scales], f"{name}.factor", ir.DataType.FLOAT, columns.shape,
        axis=1,
    )  # fmt: skip


def _is_pointwise(call: Call) -> bool:
    """Say whether a convolution multiplies channels at each position, and nothing else."""
    attributes = {name: attribute.value for name, attribute in call.node.attributes.items()}
    return (
        set(call.weight.integers.shape[2:]) == {1}
        and attributes.get("group", 1) == 1
        and not any(attributes.get("pads", ()))
        and attributes.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
    )


def _channels_last(maker: Maker, call: Call) -> ir.Value:
    """Have the integers that a convolution takes dequantized with their channels last."""
    layer, value = call.layer, call.node.inputs[0]
    strides = _strides(call)
    dequantize = None if value is None else value.producer()
    assert dequantize is not None  # noqa: S101 - narrows; its scale was read
    integers, *grid = (value for value in dequantize.inputs if value is not None)
    kind, rank = integers.dtype, len(strides) + 2
    assert kind is not None  # noqa: S101 - narrows, likewise
    order = (0, *range(2, rank), 1)
    found = maker.node("Transpose", [integers], f"{layer}.input.turned", kind, None, perm=order)
    if max(strides) > 1:
        places = {
            "starts": [0] * len(strides),
            "ends": [np.iinfo(np.int64).max] * len(strides),
            "axes": list(range(1, rank - 1)),
            "steps": strides,
        }
        taken = [
            maker.numbers(f"{layer}.input.{name}", np.array(values, np.int64))
            for name, values in places.items()
        ]
        found = maker.node("Slice", [found, *taken], f"{layer}.input.some", kind, None)
    return maker.node(
        "DequantizeLinear", [found, *grid], f"{layer}.input.factor", ir.DataType.FLOAT, None
    )


def _strides(call: Call) -> list[int]:
    given = call.node.attributes.get("strides")
    return [1] * (call.weight.integers.ndim - 2) if given is None else list(given.as_ints())
