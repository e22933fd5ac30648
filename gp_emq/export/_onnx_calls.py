"""Finding the calls of quantized layers in a graph, with the batch norms that go with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from gp_emq.export._grids import StoredGrid
from gp_emq.export._onnx_values import constant, only_reader

BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


@dataclass(frozen=True)
class GraphWeight:
    """A quantized weight in a graph.

    Attributes:
        name: Of the weight.
        stored: The integers.
        integers: The same as numbers, less their zero points.
        zero_point: In the shape of the scale's, where there is one.
        scale: float64 (out,).
    """

    name: str
    stored: ir.Value
    integers: NDArray[np.int32]
    zero_point: NDArray[np.int32] | None
    scale: NDArray[np.float64]


def graph_weight(
    name: str, stored: ir.Value, integers: NDArray[np.int16], grid: StoredGrid
) -> GraphWeight:
    """Describe a quantized weight in a graph.

    Args:
        name: Of the layer.
        stored: Its integers in the graph.
        integers: The same as numbers.
        grid: Of the weight.
    """
    shaped = grid.parameters(integers.ndim)
    zero_point = None if grid.symmetric else shaped.zero_point.numpy().astype(np.int32)
    centred = integers.astype(np.int32) - (0 if zero_point is None else zero_point)
    scale = np.broadcast_to(grid.scale.numpy().astype(np.float64), len(integers))
    return GraphWeight(name, stored, centred, zero_point, scale)


@dataclass(frozen=True)
class Call:
    """A convolution with a quantized weight, whose input is on a grid held in 8 bits.

    Attributes:
        layer: Name of the layer that is called.
        node: The convolution.
        weight: Its weight, which may be another layer's too.
        input_scale: Of its input.
        scale: float64 (out,), of the weight times that of the batch norm.
        bias: float64 (out,), with the batch norm.
        output: What the batch norm gives, or the convolution where it has none of its own.
    """

    layer: str
    node: ir.Node
    weight: GraphWeight
    input_scale: float
    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    output: ir.Value


def find_calls(
    graph: ir.Graph, weights: Mapping[ir.Value, GraphWeight], inputs: Mapping[ir.Value, str]
) -> Iterator[Call]:
    """Find the convolutions of a graph, in its order.

    Args:
        graph: With quantized weights and inputs.
        weights: The values that stand for quantized weights.
        inputs: Names of layers by their rounded inputs.
    """
    for node in list(graph):
        if node.op_type != "Conv" or node.domain:
            continue
        taken, weight = node.inputs[:2]
        if taken is None or weight is None:
            continue
        if taken in inputs and weight in weights:
            call = _call(inputs[taken], node, weights[weight])
            if call is not None:
                yield call


def _call(layer: str, node: ir.Node, weight: GraphWeight) -> Call | None:
    input_scale = find_input_scale(node.inputs[0])
    out = len(weight.integers)
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias = np.zeros(out) if given is None else constant(given)
    if input_scale is None or bias is None or weight.integers.ndim < 3:
        return None
    bias = np.broadcast_to(bias, out)
    output = node.outputs[0]
    norm = only_reader(output, "BatchNormalization")
    folded = None if norm is None else _affine(norm)
    if norm is None or folded is None:
        return Call(layer, node, weight, input_scale, weight.scale, bias, output)
    factor, mean, shift = folded
    scale = weight.scale * factor
    bias = (bias - mean) * factor + shift
    return Call(layer, node, weight, input_scale, scale, bias, norm.outputs[0])


def find_input_scale(value: ir.Value | None) -> float | None:
    """Return the scale of a value that comes dequantized from integers held in 8 bits."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear":
        return None
    integers, scale = node.inputs[0], constant(node.inputs[1])
    if integers is None or integers.dtype not in BYTES or scale is None or scale.size != 1:
        return None
    return float(scale.reshape(()))


def _affine(
    norm: ir.Node,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the factor, mean and shift of a batch norm's channels, if they are known numbers."""
    weight, shift, mean, variance = (constant(value) for value in norm.inputs[1:5])
    if weight is None or shift is None or mean is None or variance is None:
        return None
    epsilon = norm.attributes["epsilon"].as_float()
    with np.errstate(all="ignore"):
        factor = weight / np.sqrt(variance + epsilon)
    return factor, mean, shift
