"""ONNX files of a network's layers, each as the file of the whole network has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import torch
from torch import nn

from gp_emq.export._grids import input_grids, weight_grids
from gp_emq.export._onnx_graph import GraphQuantizer
from gp_emq.export._onnx_pieces import cut_pieces
from gp_emq.export._onnx_trace import DOMAIN, trace
from gp_emq.export._onnx_types import DEFAULT_OPSET
from gp_emq.networks import Layer
from gp_emq.quantization import QuantizationParameters, QuantizedModel, QuantizedWeight


@dataclass(frozen=True)
class LayerGraphs:
    """ONNX files of one form of a network, for one sample.

    Attributes:
        whole: That of the network.
        layers: Those of its layers by name, one for each use of the weight; layers that share a
            weight are under the name of the first of them.
    """

    whole: bytes
    layers: Mapping[str, tuple[bytes, ...]]


class LayerExporter:
    """Writes a network's layers as ONNX files; the network is traced once for all widths.

    Args:
        model: The float network.
        layers: Its layers.
        inputs: Grids of the inputs of layers by name; none where they stay in float.
        input_shape: (C, H, W) of one image.

    Raises:
        ExportError: The network does not export, or a grid cannot be stored.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        inputs: Mapping[str, QuantizationParameters],
        input_shape: Sequence[int],
    ) -> None:
        self._model = model
        floating = QuantizedModel(model, {}, inputs)
        self._grids = input_grids(floating)
        self._traced = trace(floating, torch.zeros(1, *input_shape), DEFAULT_OPSET, 1)
        network = floating.network
        first = {
            id(network.get_submodule(layer.name).get_parameter("weight")): layer.name
            for layer in layers
            if not layer.shares
        }
        self._own = tuple(first.values())
        self._owners = {
            name: first[id(parameter)]
            for name, parameter in network.named_parameters(remove_duplicate=False)
            if id(parameter) in first
        } | {f"{name}.weight.integers": name for name in self._own}

    def graphs(self, weights: Mapping[str, QuantizedWeight]) -> LayerGraphs:
        """Write the files of one form of the network.

        Args:
            weights: Of the layers that are quantized; the others stay in float, inputs too.

        Raises:
            ExportError: A grid cannot be stored.
        """
        model = self._traced.clone()
        quantizer = GraphQuantizer(model, DEFAULT_OPSET)
        quantized = QuantizedModel(self._model, weights, {})
        grids = weight_grids(quantized)
        own = {name: grids[name] for name in self._own if name in grids}
        quantizer.put_weights(quantized, own)
        quantizer.leave_inputs(weights)
        quantizer.put_inputs({name: self._grids[name] for name in weights if name in self._grids})
        quantizer.compute_in_integers()
        pieces = cut_pieces(model.graph, self._owners)
        return LayerGraphs(
            _content(model),
            {
                name: tuple(_content(ir.Model(piece, ir_version=1)) for piece in pieces[name])
                for name in self._own
            },
        )


def _content(model: ir.Model) -> bytes:
    model.opset_imports.pop(DOMAIN, None)
    opset = onnx.helper.make_opsetid("", model.opset_imports[""])
    model.ir_version = onnx.helper.find_min_ir_version_for([opset])
    content: bytes = ir.to_proto(model).SerializeToString()
    return content
