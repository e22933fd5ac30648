"""Putting integers and the nodes that quantize into an ONNX graph of float operations."""

from collections.abc import Container, Mapping

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

import gp_emq
from gp_emq.errors import ExportError
from gp_emq.export._bits import pack_integers
from gp_emq.export._grids import StoredGrid, integers_of
from gp_emq.export._onnx_calls import GraphWeight, graph_weight
from gp_emq.export._onnx_integers import compute_in_integers
from gp_emq.export._onnx_trace import DOMAIN, LAYER, MARKER
from gp_emq.export._onnx_types import IntegerType, integer_type
from gp_emq.files import one_line
from gp_emq.quantization import QuantizedModel

METADATA_KEY = "gp_emq"
"""Of the description in the graph's metadata."""


_RANDOM = frozenset(
    {
        "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike",
    }
)  # fmt: skip


class GraphQuantizer:
    """Turns a traced graph into one that quantizes.

    Args:
        model: The traced graph; it is changed.
        opset: Its opset.
    """

    def __init__(self, model: ir.Model, opset: int) -> None:
        self._graph = model.graph
        self._opset = opset
        self._first = self._graph[0]
        self._weights: dict[ir.Value, GraphWeight] = {}
        self._inputs: dict[ir.Value, str] = {}

    def put_weights(self, quantized: QuantizedModel, grids: Mapping[str, StoredGrid]) -> None:
        """Replace weights by integers and DequantizeLinear nodes.

        Args:
            quantized: The network.
            grids: Of its weights, by name of the layer.

        Raises:
            ExportError: The graph lacks one of the weights.
        """
        network = quantized.network
        aliases: dict[int, list[str]] = {}
        for name, parameter in network.named_parameters(remove_duplicate=False):
            aliases.setdefault(id(parameter), []).append(name)
        # Layers that share a weight are named by the first of them.
        layers = {id(network.get_submodule(n).get_parameter("weight")): n for n in grids}
        for parameter_id, name in layers.items():
            found = [a for a in aliases[parameter_id] if a in self._graph.initializers]
            if not found:
                raise ExportError(f"the weight of {name} is not in the exported graph")
            values = self._weight(name, integers_of(quantized.weights[name]), grids[name])
            for alias in found:
                replaced = self._graph.initializers.pop(alias)
                ir.convenience.replace_all_uses_with(replaced, values)

    def put_inputs(self, grids: Mapping[str, StoredGrid]) -> None:
        """Replace the markers by QuantizeLinear and DequantizeLinear nodes.

        Args:
            grids: Of the inputs by name of the layer.

        Raises:
            ExportError: The graph does not call one of the layers.
        """
        calls = dict.fromkeys(grids, 0)
        for node in list(self._graph.all_nodes()):
            if (node.domain, node.op_type) == (DOMAIN, MARKER):
                name = node.attributes[LAYER].as_string()
                self._round(node, name, grids[name], calls[name])
                calls[name] += 1
        for name, count in calls.items():
            if count == 0:
                raise ExportError(f"the exported graph does not call the layer {name}")

    def leave_inputs(self, rounded: Container[str]) -> None:
        """Take markers out, so that inputs stay in float.

        Args:
            rounded: Names of the layers whose markers stay.
        """
        for node in list(self._graph.all_nodes()):
            if (node.domain, node.op_type) != (DOMAIN, MARKER):
                continue
            if node.attributes[LAYER].as_string() not in rounded:
                taken = node.inputs[0]
                assert taken is not None  # noqa: S101 - narrows; a marker has one input
                ir.convenience.replace_all_uses_with(
                    node.outputs[0], taken, replace_graph_outputs=True
                )
                graph = node.graph
                assert graph is not None  # noqa: S101 - narrows; it was found in one
                graph.remove(node, safe=True)

    def compute_in_integers(self) -> None:
        """Have convolutions computed in integers where the weights and inputs put in allow it."""
        compute_in_integers(self._graph, self._weights, self._inputs)

    def draws(self) -> tuple[str, ...]:
        """Name the operators that draw random numbers, each once, in their order."""
        drawing = [node.op_type for node in self._graph.all_nodes() if node.op_type in _RANDOM]
        return tuple(dict.fromkeys(drawing))

    def sizes(self) -> dict[str, int]:
        """Return the bytes of all initializers by name."""
        tensors = {name: value.const_value for name, value in self._graph.initializers.items()}
        return {name: tensor.nbytes for name, tensor in tensors.items() if tensor is not None}

    def _weight(self, name: str, integers: NDArray[np.int16], grid: StoredGrid) -> ir.Value:
        """Put in the integers of a weight, and return the values that they stand for."""
        kind = integer_type(grid.bits, self._opset, signed=grid.symmetric)
        prefix, shape = f"{name}.weight", integers.shape
        if grid.group is not None:
            # Blocks lie along one axis.
            integers = integers.reshape(len(integers), -1)
        inputs = [
            self._integers(f"{prefix}.integers", integers, kind),
            self._floats(f"{prefix}.scale", grid.scale.numpy()),
        ]
        if not grid.symmetric:
            zero_points = grid.zero_point.numpy().astype(np.int16)
            inputs.append(self._integers(f"{prefix}.zero_point", zero_points, kind))
        values = _value(f"{prefix}.values", ir.DataType.FLOAT, integers.shape)
        node = ir.node("DequantizeLinear", inputs, _axis(grid), outputs=[values])
        node.name = f"{prefix}.{node.op_type}"
        self._graph.insert_before(self._first, node)
        if grid.group is None:
            self._weights[values] = graph_weight(name, inputs[0], integers, grid)
        return values if shape == integers.shape else self._reshaped(values, prefix, shape)

    def _reshaped(self, values: ir.Value, prefix: str, shape: tuple[int, ...]) -> ir.Value:
        sides = self._initializer(ir.Tensor(np.array(shape, np.int64), name=f"{prefix}.shape"))
        whole = _value(f"{prefix}.whole", ir.DataType.FLOAT, shape)
        node = ir.node("Reshape", [values, sides], outputs=[whole])
        node.name = f"{prefix}.{node.op_type}"
        self._graph.insert_before(self._first, node)
        return whole

    def _round(self, marker: ir.Node, name: str, grid: StoredGrid, call: int) -> None:
        taken, given = marker.inputs[0], marker.outputs[0]
        assert taken is not None  # noqa: S101 - narrows; a marker has one input
        kind = integer_type(grid.bits, self._opset, signed=grid.symmetric)
        # A type as narrow as the grid would saturate by itself, but onnxruntime 1.32 fuses a
        # quantizer with what comes right before it, and refuses the graph below 8 bits.
        limited = grid.bits < 8
        prefix, suffix = f"{name}.input", f".{call}" if call else ""
        known = self._graph.initializers
        if call == 0:
            self._floats(f"{prefix}.scale", grid.scale.numpy())
            zero_point = grid.zero_point.numpy().astype(np.int16)
            self._integers(f"{prefix}.zero_point", zero_point, kind)
        if limited and f"{prefix}.low" not in known:
            for limit, value in zip(("low", "high"), _limits(grid), strict=True):
                self._floats(f"{prefix}.{limit}", value)
        scaling = [known[f"{prefix}.scale"], known[f"{prefix}.zero_point"]]
        nodes = []
        if limited:
            for operator, limit in (("Max", "low"), ("Min", "high")):
                bounded = _like(f"{prefix}.{operator}{suffix}", taken)
                inputs = [taken, known[f"{prefix}.{limit}"]]
                nodes.append(ir.node(operator, inputs, outputs=[bounded]))
                taken = bounded
        integers = _like(f"{prefix}.integers{suffix}", taken)
        integers.type = ir.TensorType(_data_type(kind))
        nodes.append(ir.node("QuantizeLinear", [taken, *scaling], outputs=[integers]))
        values = _like(f"{prefix}.values{suffix}", given)
        nodes.append(ir.node("DequantizeLinear", [integers, *scaling], outputs=[values]))
        for node in nodes:
            node.name = f"{prefix}.{node.op_type}{suffix}"
        graph = marker.graph
        assert graph is not None  # noqa: S101 - narrows; it was found in one
        graph.insert_before(marker, nodes)
        self._inputs[values] = name
        ir.convenience.replace_all_uses_with(given, values, replace_graph_outputs=True)
        graph.remove(marker, safe=True)

    def _floats(self, name: str, values: NDArray[np.float32]) -> ir.Value:
        return self._initializer(ir.Tensor(values, name=name))

    def _integers(self, name: str, integers: NDArray[np.int16], kind: IntegerType) -> ir.Value:
        proto = onnx.TensorProto(name=name, data_type=_data_type(kind).value)
        proto.dims.extend(integers.shape)
        proto.raw_data = pack_integers(integers, kind.bits).tobytes()
        return self._initializer(ir.TensorProtoTensor(proto))

    def _initializer(self, tensor: ir.TensorProtocol) -> ir.Value:
        assert tensor.name is not None  # noqa: S101 - narrows; all have one
        value = _value(tensor.name, tensor.dtype, tuple(tensor.shape.numpy()))
        value.const_value = tensor
        self._graph.register_initializer(value)
        return value


def serialize(model: ir.Model, description: str) -> bytes:
    """Give a graph its description, and check and serialize it.

    Args:
        model: The graph; it is changed.
        description: JSON.

    Raises:
        ExportError: It is larger than the 2 GiB that a file may have, or is no graph that ONNX
            knows.
    """
    _strip_origins(model)
    model.producer_name, model.producer_version = "gp_emq", gp_emq.__version__
    model.metadata_props[METADATA_KEY] = description
    model.opset_imports.pop(DOMAIN, None)
    model.ir_version = onnx.helper.find_min_ir_version_for(
        [onnx.helper.make_opsetid("", model.opset_imports[""])]
    )
    proto = ir.to_proto(model)
    if proto.ByteSize() > onnx.checker.MAXIMUM_PROTOBUF:
        raise ExportError(
            f"the network takes {proto.ByteSize():,} bytes, and an ONNX file at most "
            f"{onnx.checker.MAXIMUM_PROTOBUF:,}"
        )
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"opset {model.opset_imports['']} of ONNX does not have what the network computes: "
            f"{one_line(error)}"
        ) from error
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _strip_origins(model: ir.Model) -> None:
    """Remove what the exporter notes about nodes: it has the paths of this machine's files."""
    graph = model.graph
    nodes = list(graph.all_nodes())
    noted: list[ir.Model | ir.Graph | ir.Node | ir.Value] = [model, graph, *nodes, *graph.inputs]
    noted += graph.initializers.values()
    noted += [value for node in nodes for value in node.outputs]
    for item in noted:
        item.metadata_props.clear()
        item.doc_string = None


def _limits(grid: StoredGrid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smallest and largest value of a grid narrower than the type that holds it."""
    parameters = grid.parameters(1)
    zero_point, scale = float(parameters.zero_point), float(parameters.scale)
    low = (parameters.quant_min - zero_point) * scale
    high = (parameters.quant_max - zero_point) * scale
    return np.array(low, dtype=np.float32), np.array(high, dtype=np.float32)


def _axis(grid: StoredGrid) -> dict[str, int]:
    """Return the attributes that say what of a weight shares a scale."""
    if grid.group is not None:
        return {"axis": 1, "block_size": grid.group}
    return {"axis": 0} if grid.granularity.per_channel else {}


def _data_type(kind: IntegerType) -> ir.DataType:
    return ir.DataType[kind.name.upper()]


def _value(name: str, kind: ir.DataType, shape: tuple[int, ...]) -> ir.Value:
    return ir.Value(name=name, type=ir.TensorType(kind), shape=ir.Shape(shape))


def _like(name: str, value: ir.Value) -> ir.Value:
    return ir.Value(name=name, type=value.type, shape=value.shape)
