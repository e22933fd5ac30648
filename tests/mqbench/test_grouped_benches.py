"""Benches of weights whose scales are of groups."""

import numpy as np
import pytest
import torch

from gp_emq import bench as command
from gp_emq.errors import BenchError
from gp_emq.mqbench import MeasurementSettings, Measurer, find_protocol, read_bench
from gp_emq.mqbench._inputs import bench_inputs
from gp_emq.mqbench._measure import choose_arithmetic
from gp_emq.quantization._uniform import fake_quantize


def settings(**options) -> MeasurementSettings:
    protocol = find_protocol("rtn").with_options(calibration_images=32, **options)
    return MeasurementSettings(
        network="plain-digits", weights=None, data=(), protocol=protocol, bits=(2, 4), tests=100,
        seed=0, arithmetic="float",
    )  # fmt: skip


def test_a_group_of_a_whole_channel_is_a_scale_per_channel() -> None:
    whole, channel = settings(group=10_000), settings(per_channel=True)
    assert choose_arithmetic(whole.protocol) == "float"
    for bits in (2, 4):
        accuracies = [Measurer(one).uniform_accuracy(bits) for one in (whole, channel)]
        assert accuracies[0] == accuracies[1]


def test_a_bench_keeps_its_groups_and_proxies_see_them(tmp_path) -> None:
    out = tmp_path / "grouped.safetensors"
    assert command.main(
        [
            "build", "--network", "plain-digits", "--protocol", "rtn", "--scale-group", "8",
            "--bits", "2,4", "--test-images", "100", "--calibration-images", "32", "--configs", "6",
            "--out", str(out), "--quiet",
        ]
    ) == 0  # fmt: skip
    bench = read_bench(out)
    inputs = bench_inputs(bench)
    assert inputs.quantizer.group == 8
    layer = inputs.network.model.get_submodule(inputs.network.layers[1].name)
    weight = layer.weight.detach()
    quantized = fake_quantize(weight, inputs.quantizer.parameters(weight, 2))
    rows = np.asarray(quantized).reshape(len(weight), -1)
    # At 2 bits, symmetric, a group has at most 4 values.
    assert max(len(np.unique(row[start : start + 8])) for row in rows for start in (0, 8)) <= 4
    assert max(len(np.unique(row)) for row in rows) > 4
    assert torch.isfinite(torch.as_tensor(rows)).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"group": 8, "per_channel": False}, "groups of 8 values lie within output channels"),
        ({"group": 1}, "of 2 or more values, not 1"),
    ],
)
def test_groups_that_cannot_be_are_refused(options, said) -> None:
    with pytest.raises(BenchError, match=said):
        find_protocol("rtn").with_options(**options)


def test_other_options_keep_a_group() -> None:
    grouped = find_protocol("rtn").with_options(group=16)
    assert grouped.with_options(calibration_images=8).weights.group == 16
    assert grouped.with_options(per_channel=False).weights.group is None
    with pytest.raises(BenchError, match="without groups"):
        choose_arithmetic(grouped, "integer")
