"""The groups of weights that a plan counted with are those that its network gets."""

from pathlib import Path

import pytest
import torch
from small_networks import Normed, made, pictures

import gp_emq
from gp_emq.allocation import CostSettings, Plan, allocate, save_plan
from gp_emq.errors import QuantizationError
from gp_emq.export import load_quantized
from gp_emq.networks import (
    PER_CHANNEL,
    PER_TENSOR,
    Granularity,
    find_layers,
    load_network,
    registered_layers,
)
from gp_emq.ptq import planned_granularity
from gp_emq.qat import QatSettings
from gp_emq.qat import _command as qat_command
from gp_emq.qat.__main__ import main as qat_main
from gp_emq.quantization import WeightQuantizer
from gp_emq.quantize import main as quantize_main

BITS = (2, 4)
# What the convolution's rows of 18 weights and the head's of 4 make of groups.
GROUPS = {"conv": 4, "head": 1}


def by(group: int | None) -> Granularity:
    return Granularity(per_channel=True, group=group)


def plan_of(granularity: Granularity, **budget) -> Plan:
    layers = find_layers(made(Normed), pictures())
    return allocate(
        [[-2.0, -1.0]] * 2, layers, bits=BITS, settings=CostSettings(granularity=granularity),
        **(budget or {"average_bits": 4}),
    )  # fmt: skip


def test_a_plan_brings_its_groups_along() -> None:
    model, images = made(Normed), pictures()
    found = gp_emq.quantize(model, plan_of(by(5)), images, method="rtn")
    assert {name: of.parameters.scale.numel() // len(of.integers) for name, of in
            found.weights.items()} == GROUPS  # fmt: skip
    for name, weight in found.weights.items():
        quantizer = WeightQuantizer(per_channel=True, group=5)
        grid = quantizer.parameters(model.get_submodule(name).weight, 4)
        assert torch.equal(weight.parameters.scale, grid.scale)
    # What the user says counts before the plan, and plans without groups have channels.
    own = WeightQuantizer(per_channel=True, scale_rule="minmax")
    for plan, quantizer in ((plan_of(by(5)), own), (plan_of(PER_CHANNEL), None)):
        found = gp_emq.quantize(model, plan, images, quantizer=quantizer, method="rtn")
        assert all(of.parameters.group is None for of in found.weights.values())


@pytest.mark.parametrize(
    ("planned", "given", "found"),
    [
        (by(64), None, by(64)),
        (PER_CHANNEL, None, PER_CHANNEL),
        (PER_TENSOR, None, PER_CHANNEL),
        (by(64), PER_TENSOR, PER_TENSOR),
        (by(4), by(8), by(8)),
        # Both make two groups of 18 weights and one of 4.
        (by(17), by(9), by(9)),
    ],
)
def test_the_granularity_is_the_users_or_the_plans(planned, given, found) -> None:
    assert planned_granularity(plan_of(planned, size_bytes=10**4), given) == found
    assert planned_granularity({"conv": 4}, given) == (given or PER_CHANNEL)


def test_more_scales_than_a_budget_in_bytes_counted_are_refused() -> None:
    plan = plan_of(by(8), size_bytes=10**4)
    # 4 channels of 18 and 3 of 4 weights: 4 * 3 + 3 scales, and 4 * 5 + 3.
    with pytest.raises(QuantizationError, match=r"with 15 scales \(per group8\), and has 23 per"):
        planned_granularity(plan, by(4))
    with pytest.raises(QuantizationError, match="leave the scale group out"):
        gp_emq.quantize(
            made(Normed),
            plan,
            pictures(),
            quantizer=WeightQuantizer(per_channel=True, group=4),
            method="rtn",
        )
    assert planned_granularity(plan_of(by(8), average_bits=4), by(4)) == by(4)


@pytest.fixture
def digits(tmp_path) -> Path:
    """A plan of the digits network that counts groups of 24."""
    layers = registered_layers("digits")
    plan = allocate(
        [[-2.0, -1.0]] * (1 + max(layer.entry for layer in layers)), layers, bits=BITS,
        average_bits=4, settings=CostSettings(granularity=by(24)),
    )  # fmt: skip
    save_plan(plan, tmp_path / "plan.json")
    return tmp_path / "plan.json"


def test_the_command_takes_the_groups_of_the_plan_and_notes_others(digits, capsys) -> None:
    file = digits.with_name("small.safetensors")
    line = ["--plan", str(digits), "--network", "digits", "--images", "16", "--tests", "16",
            "--out", str(file)]  # fmt: skip
    for options, group, told in (([], 24, None), (["--scale-group", "12"], 12, "group12")):
        quantize_main([*line, *options])
        note = f"note: the plan counts stored sizes with scales per group24, not {told}"
        assert (note in capsys.readouterr().out) == bool(told)
        weights = load_quantized(file, load_network("digits").model).weights
        # The first convolution has channels of 9 weights.
        assert {of.parameters.group for of in weights.values()} == {None, group}


def test_training_starts_from_the_groups_of_the_plan(digits, monkeypatch) -> None:
    class Stop(Exception):  # noqa: N818 - it ends the command
        pass

    def started(*_given, granularity, **_named):
        raise Stop(str(granularity))

    monkeypatch.setattr(qat_command, "warm_start", started)
    line = ["--network", "digits", "--images", "16", "--device", "cpu", "--quiet",
            "--out", str(digits.with_name("run"))]  # fmt: skip
    for widths, told in ((["--plan", str(digits)], "group24"), (["--bits", "3"], "channel")):
        with pytest.raises(Stop, match=told):
            qat_main([*line, *widths])
    model, images = made(Normed), pictures()
    monkeypatch.undo()
    start = qat_command.warm_start(
        model, find_layers(model, images), {"conv": 4, "head": 2}, images, QatSettings(),
        granularity=by(5),
    )  # fmt: skip
    shapes = {name: tuple(of.parameters.scale.shape) for name, of in start.weights.items()}
    assert shapes == {"conv": (4, 4), "head": (3, 1)}
