"""A budget in bytes is kept by the file that is written in the end."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from gp_emq import quantize
from gp_emq.allocate import main as allocate_main
from gp_emq.allocation import CostSettings, allocate, load_plan
from gp_emq.errors import InfeasibleError
from gp_emq.export import bytes_beside, save_quantized
from gp_emq.networks import untrained_network
from gp_emq.quantize import main as quantize_main

BITS = (2, 4, 8)


def header_bound(layers: int) -> int:
    """What docs/allocation.md says of the header."""
    return 4096 + 2048 * layers


def numbers_of(path: Path) -> tuple[int, int]:
    """Bytes of the header and of what follows it."""
    with path.open("rb") as file:
        header = 8 + struct.unpack("<Q", file.read(8))[0]
    return header, path.stat().st_size - header


@pytest.mark.parametrize(
    "name",
    [
        "digits",
        "resnet20",
        "transformer-digits",
        "unnormed-digits",
        "excite-digits",
        "mixer-digits",
    ],
)
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_packed_file_keeps_the_budget_but_for_its_header(
    name: str, share: float, tmp_path: Path
) -> None:
    network = untrained_network(name)
    layers = network.layers
    settings = CostSettings(beside_bytes=bytes_beside(network.model, layers))
    table = [[-3.0 * k, -2.0, -1.0] for k in np.linspace(1, 2, 1 + max(x.entry for x in layers))]

    def plan_of(limit: float, **options):
        return allocate(table, layers, bits=BITS, size_bytes=limit, settings=settings, **options)

    least, most = (
        plan_of(1e12, fix={"*": width}).targets[0].achieved for width in (BITS[0], BITS[-1])
    )
    limit = int(least + share * (most - least))
    plan = plan_of(limit, exclude=[layers[-1].name] if share > 0.5 else [])
    path = tmp_path / "small.safetensors"
    quantized = quantize(network.model, plan, torch.rand(8, *network.input_shape))
    save_quantized(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    header, numbers = numbers_of(path)
    assert numbers == plan.targets[0].achieved <= limit
    assert header <= header_bound(len(layers))


def test_the_commands_keep_it_together(tmp_path: Path, capsys) -> None:
    plan, file = tmp_path / "plan.json", tmp_path / "small.safetensors"
    line = ["--network", "transformer-digits", "--proxy", "relative_error", "--images", "16"]
    table = tmp_path / "table.json"
    allocate_main([*line, "--size-bytes", "20000", "--no-plot", "--out", str(plan),
                   "--save-table", str(table)])  # fmt: skip
    quantize_main(["--plan", str(plan), "--images", "16", "--tests", "16", "--out", str(file)])
    header, numbers = numbers_of(file)
    achieved = next(t.achieved for t in load_plan(plan).targets if t.unit == "bytes")
    assert 0.9 * 20000 < numbers == achieved <= 20000
    assert header <= header_bound(len(load_plan(plan).layers))
    # The saved table knows what lies beside the layers.
    again = tmp_path / "again.json"
    allocate_main(
        ["--table", str(table), "--size-bytes", "20000", "--no-plot", "--out", str(again)]
    )
    assert again.read_bytes() == plan.read_bytes()
    # What is printed: the file beside the float network's.
    text = capsys.readouterr().out
    assert "file, KiB" in text
    assert f"{file.stat().st_size / 1024:,.1f}" in text


def test_what_lies_beside_the_layers_can_be_too_much() -> None:
    network = untrained_network("transformer-digits")
    settings = CostSettings(beside_bytes=10**6)
    table = [[-2.0, -1.0]] * len(network.layers)
    with pytest.raises(InfeasibleError, match="for file size cannot be met: the least possible is"):
        allocate(table, network.layers, bits=(2, 4), size_bytes=10**6, settings=settings)
