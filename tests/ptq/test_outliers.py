import pytest
import torch
from torch import nn

import gp_emq
from gp_emq.errors import QuantizationError


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)
    ).eval()


def images(count, seed):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("method", ["rtn", "rtn+bn", "adaround", "brecq"])
@pytest.mark.parametrize("rule", ["robust", "percentile", "mse", None])
def test_one_outlier_does_not_cost_the_network(method, rule):
    model, calibration, test = network(), images(64, 0), images(64, 1)
    options = {} if rule is None else {"activation_rule": rule}
    if method in ("adaround", "brecq"):
        options["iterations"] = 5

    def error():
        quantized = gp_emq.quantize(model, {"0": 8, "4": 8}, calibration, method=method, **options)
        # Without batch norm as trained, the network to keep to is the re-estimated one.
        with torch.no_grad():
            expected = model(test)
            return float((quantized(test) - expected).norm() / expected.norm())

    clean = error()
    calibration[0, 0, 0, 0] = 1e4
    assert error() <= 1.1 * clean + 0.01


def test_asked_for_an_outlier_is_spanned():
    calibration = images(64, 0)
    calibration[0, 0, 0, 0] = 1e4
    quantized = gp_emq.quantize(
        network(), {"0": 8, "4": 8}, calibration, activation_rule="minmax", method="rtn"
    )
    assert float(quantized.activations["0"].scale) > 1e4 / 256


def test_an_unknown_rule_is_refused():
    with pytest.raises(QuantizationError, match="one of minmax, robust, percentile, mse, not 'x'"):
        gp_emq.quantize(network(), {"0": 8}, images(4, 0), activation_rule="x", method="rtn")
