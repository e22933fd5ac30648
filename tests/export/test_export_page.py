import re
from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession

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
    for layer, bits in names["widths"].items():
        expected = network.get_submodule(layer).weight.detach().numpy()
        np.testing.assert_array_equal(names["weight"](layer), expected, err_msg=f"{bits} bits")
    session = InferenceSession("digits.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": names["images"].numpy()})
    assert (logits.argmax(1) == names["quantized"](names["images"]).argmax(1).numpy()).all()
