"""ONNX files of networks of tokens: tables are integers, dequantized and gathered from."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import gp_emq
from gp_emq.errors import ExportError
from gp_emq.export import export_onnx
from gp_emq.networks import Workload, find_layers
from gp_emq.quantization import WeightQuantizer

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

TOKENS = torch.randint(0, 11, (5, 4), generator=torch.Generator().manual_seed(1))


class Reader(nn.Module):
    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        self.read, self.write = nn.Embedding(11, 6, padding_idx=0), nn.Linear(6, 11, bias=False)
        if tied:
            self.write.weight = self.read.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.write(torch.tanh(self.read(tokens)).mean(1))


@pytest.mark.parametrize(("tied", "group"), [(False, None), (True, None), (True, 2)])
def test_a_table_is_stored_as_integers_and_gathered_from(
    tied: bool, group: int | None, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, path = Reader(tied=tied).eval(), tmp_path / "tokens.onnx"
    quantized = gp_emq.quantize(
        Workload(model, TOKENS),
        {"read": 4, "write": 4},
        quantizer=WeightQuantizer(per_channel=True, group=group),
        method="rtn",
    )
    layers = find_layers(model, TOKENS[:1])
    opset = 21 if group else 18
    report = export_onnx(quantized, layers, path, (4,), indices=True, opset=opset)
    assert report.layers[1].stored_as == ("that of read" if tied else report.layers[0].stored_as)
    graph = onnx.load(path).graph
    assert [node.op_type for node in graph.node].count("Gather") == 1
    # Nothing else is as large as the table: it is there once, and nowhere in float.
    tables = [one for one in graph.initializer if np.prod(one.dims) == 66]
    floats = [one.name for one in tables if one.data_type == onnx.TensorProto.FLOAT]
    assert (len(tables), floats) == (1 if tied else 2, [])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(int64)"
    for tokens in (TOKENS, TOKENS[:1]):  # of any size
        (found,) = session.run(None, {session.get_inputs()[0].name: tokens.numpy()})
        np.testing.assert_allclose(found, quantized(tokens).detach(), rtol=1e-4, atol=1e-5)


def test_tokens_that_are_said_to_be_floats_are_refused_in_a_line(tmp_path: Path) -> None:
    model = Reader(tied=False).eval()
    quantized = gp_emq.quantize(Workload(model, TOKENS), {"read": 4}, method="rtn")
    with pytest.raises(ExportError, match="does not export to ONNX") as caught:
        export_onnx(quantized, find_layers(model, TOKENS[:1]), tmp_path / "x.onnx", (4,))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.onnx").exists()
