"""A budget in bytes is kept by the file that is written in the end."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import gp_emq
from gp_emq import quantize
from gp_emq.allocate import main as allocate_main
from gp_emq.allocation import CostSettings, allocate, load_plan
from gp_emq.errors import InfeasibleError
from gp_emq.export import bytes_beside, save_quantized
from gp_emq.networks import Granularity, untrained_network
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


NAMES = (
    "digits", "resnet20", "transformer-digits", "unnormed-digits", "excite-digits", "mixer-digits",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "share", "group"),
    [
        *((name, share, None) for name in NAMES for share in (0.2, 0.7)),
        ("mixer-digits", 0.2, 10),
        ("transformer-digits", 0.7, 16),
    ],
)
def test_a_packed_file_keeps_the_budget_but_for_its_header(
    name: str, share: float, group: int | None, tmp_path: Path
) -> None:
    network = untrained_network(name)
    layers = network.layers
    settings = CostSettings(
        granularity=Granularity(per_channel=True, group=group),
        beside_bytes=bytes_beside(network.model, layers),
    )
    table = [[-3.0 * k, -2.0, -1.0] for k in np.linspace(1, 2, 1 + max(x.entry for x in layers))]

    def plan_of(limit: float, **options):
        return allocate(table, layers, bits=BITS, size_bytes=limit, settings=settings, **options)

    least, most = (
        plan_of(1e12, fix={"*": width}).targets[0].achieved for width in (BITS[0], BITS[-1])
    )
    limit = int(least + share * (most - least))
    plan = plan_of(limit, exclude=[layers[-1].name] if share > 0.5 else [])
    path = tmp_path / "small.safetensors"
    quantized = quantize(network.model, plan, torch.rand(8, *network.input_shape), method="rtn")
    save_quantized(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    header, numbers = numbers_of(path)
    assert numbers == plan.targets[0].achieved <= limit
    assert header <= header_bound(len(layers))


@pytest.mark.parametrize("groups", [[], ["--scale-group", "32"]])
def test_the_commands_keep_it_together(groups: list[str], tmp_path: Path, capsys) -> None:
    plan, file = tmp_path / "plan.json", tmp_path / "small.safetensors"
    line = ["--network", "transformer-digits", "--proxy", "relative_error", "--images", "16"]
    table = tmp_path / "table.json"
    allocate_main([*line, *groups, "--size-bytes", "20000", "--no-plot", "--out", str(plan),
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


class Kinds(nn.Module):
    """Every kind of layer, rows of all of which a group of 4 does not divide; one weight twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 6, 3, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.grouped = nn.Conv2d(6, 4, (1, 3), groups=2)
        self.wider = nn.ConvTranspose2d(4, 6, 3, groups=2)
        self.linear = nn.Linear(6, 7)
        self.again = nn.Linear(6, 7)
        self.again.weight = self.linear.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.wider(self.grouped(self.norm(self.first(images)))).mean((2, 3))
        return self.linear(found) + self.again(found)


def test_the_numbers_of_groups_are_those_of_a_hand_calculation(tmp_path: Path) -> None:
    model, images = Kinds().eval(), torch.rand(8, 2, 7, 7)
    layers = gp_emq.networks.find_layers(model, images)
    settings = CostSettings(
        granularity=Granularity(per_channel=True, group=4), beside_bytes=bytes_beside(model, layers)
    )
    widths = {"first": 2, "grouped": 3, "wider": 4, "linear": 5}
    fix = widths | {"again": 5}
    entries = 1 + max(layer.entry for layer in layers)
    plan = allocate(
        [[-3.0, -2.0, -1.0]] * entries, layers, bits=BITS, size_bytes=10**5, fix=fix,
        settings=settings,
    )  # fmt: skip
    # Output channels of 18, 9, 18 and 6 weights: 5, 3, 5 and 2 groups of 4, the last one shorter.
    scales = 6 * 5 + 4 * 3 + 6 * 5 + 7 * 2
    weights = 108 * 2 // 8 + 36 * 3 / 8 + 108 * 4 // 8 + 42 * 5 / 8
    biases = 4 + 6 + 7 + 7
    expected = math.ceil(36 * 3 / 8) - 36 * 3 / 8 + math.ceil(42 * 5 / 8) - 42 * 5 / 8
    expected += weights + 4 * (scales + biases + 4 * 6)
    assert plan.targets[0].achieved == expected
    path = tmp_path / "kinds.safetensors"
    quantized = quantize(model, plan, images, method="rtn")
    save_quantized(quantized, path, method="rtn", settings={"seed": 0}, plan=plan)
    assert numbers_of(path)[1] == expected
