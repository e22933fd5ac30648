"""Where configurations are measured: a GPU by name, and clear words where there is none."""

import numpy as np
import pytest
import torch
from forked import Forked

from gp_emq.mqbench import MeasurementSettings, Measurer, find_protocol

BUILD = (
    "gp_emq.bench",
    "build",
    "--network",
    "digits",
    "--protocol",
    "rtn",
    "--configs",
    "4",
)


def settings(device: str) -> MeasurementSettings:
    protocol = find_protocol("rtn+bn").with_options(calibration_images=64)
    return MeasurementSettings("digits", None, (), protocol, (2, 3, 4), 200, 0, "float", device)


@pytest.mark.slow
def test_a_device_that_is_not_there_is_one_line_and_leaves_nothing(tmp_path) -> None:
    out = tmp_path / "bench.safetensors"
    command = Forked([*BUILD, "--devices", "cuda:77", "--out", out])
    _, complaint = command.communicate()
    assert command.returncode == 2
    (line,) = complaint.splitlines()
    assert line.startswith("error: unknown device 'cuda:77'; available are cpu")
    assert not list(tmp_path.iterdir())


def test_the_kind_of_device_is_told_of_a_gpu_alone() -> None:
    assert "device" not in Measurer(settings("cpu")).provenance()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_labels_nearly_all_images_as_the_processor_does() -> None:
    configuration = [3] * 14
    one, other = (
        np.unpackbits(Measurer(settings(device)).measure(configuration))
        for device in ("cpu", "cuda:0")
    )
    assert np.abs(one.astype(int) - other).sum() <= 5
    assert Measurer(settings("cuda:0")).provenance()["device"] == "cuda"
