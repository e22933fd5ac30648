"""Running ONNX files in onnxruntime, and what it makes of them."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from gp_emq.errors import ExportError
from gp_emq.files import one_line

_INTEGERS = frozenset({
    "QLinearConv", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "QLinearMatMul",
    "DynamicQuantizeMatMul", "QGemm", "MatMulNBits",
})  # fmt: skip
"""onnxruntime's operators that compute with integers of weights."""
_LAYOUT = frozenset({"Transpose", "ReorderInput", "ReorderOutput", "Reshape"})
_KINDS = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8}


@dataclass(frozen=True)
class Form:
    """What onnxruntime makes of a graph; graphs of one form take the same time.

    Attributes:
        nodes: Operator, attributes, and types and shapes of the inputs of each node.
    """

    nodes: tuple[tuple[str, str, tuple[str, ...]], ...]

    @property
    def operators(self) -> str:
        """The operators in their order, without those that change the layout of tensors."""
        return ", ".join(name for name, _, _ in self.nodes if name not in _LAYOUT)

    @property
    def in_integers(self) -> bool:
        """Whether weights are computed with as integers."""
        return any(name in _INTEGERS for name, _, _ in self.nodes)


class Runnable:
    """A graph that onnxruntime runs on inputs of noise.

    Args:
        content: The graph, for inputs of known shapes.
        threads: How many it may use.
        seed: Of the noise.

    Attributes:
        form: What onnxruntime makes of it.

    Raises:
        ExportError: onnxruntime does not run it.
    """

    def __init__(self, content: bytes, threads: int, seed: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            options.optimized_model_filepath = str(path)
            try:
                self._session = onnxruntime.InferenceSession(
                    content, options, providers=["CPUExecutionProvider"]
                )
            # Its kinds of errors have nothing in common.
            except Exception as error:
                reason = one_line(error)
                raise ExportError(f"onnxruntime does not run the graph: {reason}") from error
            self.form = _form(onnx.load(path).graph)
        self._binding = self._session.io_binding()
        generator = np.random.default_rng(seed)
        for given in self._session.get_inputs():
            self._binding.bind_cpu_input(given.name, _noise(given, generator))
        for made in self._session.get_outputs():
            self._binding.bind_output(made.name)

    def run(self) -> None:
        """Run it once."""
        self._session.run_with_iobinding(self._binding)


def empty_graph() -> bytes:
    """Give a graph that does nothing with one number."""
    number = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"
    ]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "empty", number[:1], number[1:])
    opset = onnx.helper.make_opsetid("", 21)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    content: bytes = model.SerializeToString()
    return content


def _noise(given: Any, generator: np.random.Generator) -> NDArray[np.generic]:
    """Give noise that an input takes."""
    shape: tuple[int, ...] = tuple(given.shape)
    if given.type == "tensor(float)":
        return generator.standard_normal(shape, dtype=np.float32)
    return generator.integers(0, 256, shape, dtype=np.uint8).view(_KINDS[given.type])


def _form(graph: onnx.GraphProto) -> Form:
    kinds = {tensor.name: _kind(tensor.data_type, tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        tensor = value.type.tensor_type
        sides = [side.dim_value for side in tensor.shape.dim]
        kinds.setdefault(value.name, _kind(tensor.elem_type, sides))
    return Form(
        tuple(
            (
                node.op_type,
                "; ".join(sorted(str(attribute) for attribute in node.attribute)),
                tuple(kinds.get(name, "") for name in node.input),
            )
            for node in graph.node
        )
    )


def _kind(kind: int, sides: Iterable[int]) -> str:
    return f"{onnx.TensorProto.DataType.Name(kind)}{list(sides)}"
