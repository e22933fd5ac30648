"""Benches of attention: each measured configuration is that of separate linear layers."""

from pathlib import Path

import numpy as np
import torch
from attention_networks import Tokens, filled, rows, twin
from own_workloads import SQUARED_ERROR, squared_error

from gp_emq.mqbench import MeasurementSettings, build_bench, find_protocol, read_bench
from gp_emq.networks import Workload

PROTOCOL = find_protocol("rtn").with_options(
    per_channel=True, scale_rule="minmax", calibration_images=8
)


def test_each_configuration_is_measured_as_that_of_separate_layers(tmp_path: Path) -> None:
    model, images = filled(Tokens()), rows(60)
    with torch.no_grad():
        wanted = model(images)
    benches = []
    for name, network in (("attention", model), ("linear", twin(model))):
        workload = Workload(
            network, (images, wanted), loss=squared_error, metric=SQUARED_ERROR,
            forward=lambda fed, taken: fed(taken),
        )  # fmt: skip
        settings = MeasurementSettings(
            network="own", weights=None, data=(), protocol=PROTOCOL, bits=(2, 4, 8), tests=None,
            seed=0, arithmetic="float", workload=workload,
        )  # fmt: skip
        out = tmp_path / f"{name}.safetensors"
        build_bench(settings, count=5, out=out)
        benches.append(read_bench(out))
    one, other = benches
    assert one.configurations.shape == (5, 5)
    assert np.array_equal(one.configurations, other.configurations)
    assert one.values is not None
    # Sums of floats in another order: an input may round the other way.
    np.testing.assert_allclose(one.values, other.values, rtol=0.02, atol=1e-4)
    assert one.values.mean(axis=1).min() > 1e-3
