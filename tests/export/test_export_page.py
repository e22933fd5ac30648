import re
from pathlib import Path

import pytest
import torch
from onnxruntime import InferenceSession
from quantized_networks import blank

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102 - the page is ours
    assert "conv1" in capsys.readouterr().out
    network = names["quantized"].network
    loaded = names["load"]("digits.safetensors", blank(names["network"].model))
    for layer, bits in names["widths"].items():
        expected = network.get_submodule(layer).weight
        assert torch.equal(loaded.get_submodule(layer).weight, expected), f"{bits} bits"
    assert torch.equal(loaded(names["images"]), names["quantized"](names["images"]))
    session = InferenceSession("digits.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": names["images"].numpy()})
    assert (logits.argmax(1) == names["quantized"](names["images"]).argmax(1).numpy()).all()
