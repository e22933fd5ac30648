"""Rewriting a graph so that onnxruntime computes convolutions in integers.

onnxruntime computes a convolution in integers where it stands between DequantizeLinear and
QuantizeLinear nodes of 8-bit integers, with nothing else between them but a bias of int32. Batch
norms go into scales and biases, activation functions that the rounding to the next grid does by
itself go, several roundings to one grid become one, and integers of narrow types become int8.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from gp_emq.export._folding import Folded, fold
from gp_emq.export._onnx_calls import BYTES, Call, GraphWeight, find_calls
from gp_emq.export._onnx_float import keep_in_float
from gp_emq.export._onnx_maker import Maker
from gp_emq.export._onnx_products import find_products, multiply
from gp_emq.export._onnx_values import constant, discard, readers, settle_constants

_ORDINARY = 2.0**24
"""Scales up to here, and down to its reciprocal, are multiplied when a file is loaded."""


def compute_in_integers(
    graph: ir.Graph, weights: Mapping[ir.Value, GraphWeight], inputs: Mapping[ir.Value, str]
) -> None:
    """Rewrite the convolutions and products that can be computed in integers.

    Args:
        graph: With quantized weights and inputs; it is changed.
        weights: The values that stand for quantized weights.
        inputs: Names of layers by their rounded inputs.
    """
    settle_constants(graph)
    places = {node: place for place, node in enumerate(graph)}
    calls: dict[str, int] = {}
    for call in [*find_calls(graph, weights, inputs), *find_products(graph, weights, inputs)]:
        suffix = f".{calls[call.layer]}" if call.layer in calls else ""
        if _fuse(call, places, suffix) or multiply(call, suffix):
            calls[call.layer] = calls.get(call.layer, 0) + 1
    for value, weight in weights.items():
        _settle(graph, value, weight)
    keep_in_float(graph)


def _fuse(call: Call, places: Mapping[ir.Node, int], suffix: str) -> bool:
    """Rewrite a convolution whose output is read by roundings to one 8-bit grid alone."""
    if call.node.op_type != "Conv":
        return False
    output = call.output
    while (node := _bound(output)) is not None:
        output = node.outputs[0]
    quantizers = readers(output)
    if not quantizers or not all(node in places for node in quantizers):
        return False
    if not all(_same(node, quantizers[0]) for node in quantizers):
        return False
    grid = _grid(quantizers[0])
    if grid is None or not _bounds_itself(call.output, output, *grid):
        return False
    folded = fold(
        call.weight.integers, call.scale, call.bias,
        input_scale=call.input_scale, output_scale=grid[0],
    )  # fmt: skip
    if folded is None:
        return False
    _put(call, folded, suffix)
    first, *others = sorted(quantizers, key=places.__getitem__)
    first.replace_input_with(0, call.node.outputs[0])
    for other in others:
        ir.convenience.replace_all_uses_with(other.outputs[0], first.outputs[0])
        discard(other.outputs[0])
    discard(output)
    return True


def _settle(graph: ir.Graph, value: ir.Value, weight: GraphWeight) -> None:
    """Have a weight that convolutions take as floats computed once, when the file is loaded.

    onnxruntime repeats a DequantizeLinear in every run, but not a product, and joins what it
    computed once with a batch norm.
    """
    uses = value.uses()
    dequantize = value.producer()
    if not uses or dequantize is None or value.is_graph_output():
        return
    if any(use.node.op_type != "Conv" or use.idx != 1 for use in uses):
        return
    # onnxruntime multiplies what it computed once by factors that follow, which may overflow.
    if not ((weight.scale >= 1 / _ORDINARY) & (weight.scale <= _ORDINARY)).all():
        return
    maker = Maker(graph, dequantize, "")
    name, kind, shape = f"{weight.name}.weight", ir.DataType.FLOAT, weight.stored.shape
    column = (-1, *[1] * (weight.integers.ndim - 1))
    found = maker.node("Cast", [weight.stored], f"{name}.whole", kind, shape, to=int(kind))
    if weight.zero_point is not None:
        shift = maker.numbers(f"{name}.shift", _column(weight.zero_point, column))
        found = maker.node("Sub", [found, shift], f"{name}.centred", kind, shape)
    scale = maker.numbers(f"{name}.factor", _column(weight.scale, column))
    found = maker.node("Mul", [found, scale], f"{name}.product", kind, shape)
    ir.convenience.replace_all_uses_with(value, found)
    discard(value)


def _column(
    values: NDArray[np.int32] | NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Lay numbers of channels along the first axis; one where they are all the same."""
    flat = values.reshape(-1).astype(np.float32)
    return (flat[:1] if (flat == flat[0]).all() else flat).reshape(shape)


def _put(call: Call, folded: Folded, suffix: str) -> None:
    """Give a convolution its new weight and bias."""
    name, graph = call.layer, call.node.graph
    assert graph is not None  # noqa: S101 - narrows; it was found in one
    maker = Maker(graph, call.node, suffix)
    old = call.node.inputs[1:]
    integers = maker.multiplied(call.layer, call.weight, folded.multipliers)
    scale = maker.numbers(f"{name}.weight.folded_scale", folded.scale)
    weight = maker.node(
        "DequantizeLinear", [integers, scale], f"{name}.weight.folded", ir.DataType.FLOAT,
        integers.shape, axis=0,
    )  # fmt: skip
    bias = maker.node(
        "DequantizeLinear",
        [
            maker.numbers(f"{name}.bias.integers", folded.bias),
            maker.numbers(f"{name}.bias.scale", folded.bias_scale),
        ],
        f"{name}.bias.folded", ir.DataType.FLOAT, ir.Shape(folded.bias.shape), axis=0,
    )  # fmt: skip
    if len(call.node.inputs) < 3:
        call.node.resize_inputs(3)
    for place, value in enumerate((weight, bias), start=1):
        call.node.replace_input_with(place, value)
    for replaced in old:
        discard(replaced)


def _bound(value: ir.Value) -> ir.Node | None:
    """Return the node that alone reads a value, if it limits it."""
    found = readers(value)
    bounds = found is not None and len(found) == 1 and found[0].op_type in ("Relu", "Clip")
    return found[0] if found and bounds else None


def _bounds_itself(value: ir.Value, output: ir.Value, scale: float, low: int, high: int) -> bool:
    """Say whether what a grid does by itself is all that is between two values."""
    while value is not output:
        node = _bound(value)
        assert node is not None  # noqa: S101 - narrows; these were followed before
        least, most = _ends(node)
        if least is None or most is None:
            return False
        if np.rint(np.float32(least) / np.float32(scale)) > low:
            return False
        if np.rint(np.float32(most) / np.float32(scale)) < high:
            return False
        value = node.outputs[0]
    return True


def _ends(node: ir.Node) -> tuple[float | None, float | None]:
    """Return the ends of what a limiting node gives, where they are known."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    given = [*node.inputs[1:], None, None][:2]
    known = [constant(value) for value in given]
    ends = [None if end is None else float(end.reshape(())) for end in known]
    least = -np.inf if given[0] is None else ends[0]
    most = np.inf if given[1] is None else ends[1]
    return least, most


def _same(node: ir.Node, other: ir.Node) -> bool:
    """Say whether two nodes round to the same grid."""
    if node.op_type != "QuantizeLinear" or other.op_type != "QuantizeLinear":
        return False
    if node.outputs[0].dtype != other.outputs[0].dtype:
        return False
    for mine, its in zip(node.inputs[1:], other.inputs[1:], strict=True):
        numbers, others = constant(mine), constant(its)
        if numbers is None or others is None or not np.array_equal(numbers, others):
            return False
    return True


def _grid(quantizer: ir.Node) -> tuple[float, int, int] | None:
    """Return the scale of a rounding to 8 bits, and its ends in steps from zero."""
    kind = quantizer.outputs[0].dtype
    scale, zero_point = (constant(value) for value in quantizer.inputs[1:3])
    if kind not in BYTES or scale is None or zero_point is None:
        return None
    low = (-128 if kind == ir.DataType.INT8 else 0) - int(zero_point.reshape(()))
    return float(scale.reshape(())), low, low + 255
