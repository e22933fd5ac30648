"""The table of corrections has the top-1 of what `quantize` makes, measured once."""

import re

import pytest
import torch

import gp_emq
from benchmarks import corrections
from gp_emq.networks import load_inputs


@pytest.mark.slow
def test_a_row_is_what_quantize_makes_and_is_measured_once(
    tmp_path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "IMAGES", (4, 6, 8))
    monkeypatch.setattr(corrections, "widths", lambda _: (3,))
    line = ["--rows", str(tmp_path / "rows.jsonl"), "--only", "digits", "axial-digits"]
    line += ["--tests", "60"]
    assert corrections.main(line) == 0
    said = capsys.readouterr().out
    rows = list(corrections.Rows(tmp_path / "rows.jsonl").known.values())
    assert len(rows) == 3 * (4 + 2)
    (row,) = [
        row
        for row in rows
        if (row.network, row.bits, row.method, row.images) == ("digits", 3, "rtn+bn", 6)
    ]
    inputs = load_inputs("digits")
    divided = inputs.divided(6, 60, 0, seen=8)
    plan = {layer.name: 3 for layer in inputs.network.layers}
    made = gp_emq.quantize(divided.calibration, plan, method="rtn+bn")
    right = made(divided.test.samples).argmax(1) == divided.test.targets
    assert row.top_1 == pytest.approx(float(right.double().mean()))
    right = inputs.network.model(divided.test.samples).argmax(1) == divided.test.targets
    assert row.change == pytest.approx(row.top_1 - float(right.double().mean()))
    assert torch.isfinite(torch.tensor([row.low, row.high])).all()
    assert re.search(r"1 other networks without batch norm: mean change of top-1 in %", said)
    cells = [f"{100 * one.top_1:.1f}" for one in rows
             if (one.network, one.bits, one.method) == ("digits", 3, "rtn+bn")]  # fmt: skip
    assert f"| {' / '.join(cells)} |" in said
    monkeypatch.setattr(corrections, "quantize", None)
    assert corrections.main(line) == 0
    assert capsys.readouterr().out == said
