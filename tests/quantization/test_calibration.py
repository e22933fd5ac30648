from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gp_emq.errors import NetworkError
from gp_emq.networks import find_layers
from gp_emq.quantization import (
    INPUT_RULES,
    ActivationQuantizer,
    calibrate_activations,
    fake_quantize,
    usual_images,
)
from gp_emq.quantization._histogram import Histogram


def pictures(count=64, seed=0):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)).eval()


def grids(model, images, **settings):
    layers = find_layers(model, images[:1])
    return calibrate_activations(model, layers, images, ActivationQuantizer(**settings))


def top(grid):
    return float((grid.quant_max - grid.zero_point) * grid.scale)


def bottom(grid):
    return float((grid.quant_min - grid.zero_point) * grid.scale)


def test_without_outliers_the_robust_range_is_the_whole_range(small):
    images = pictures()
    for robust, whole in zip(
        grids(small, images, scale_rule="robust"), grids(small, images), strict=True
    ):
        torch.testing.assert_close(robust.scale, whole.scale)
        assert robust.zero_point == whole.zero_point


@pytest.mark.parametrize("rule", [rule for rule in INPUT_RULES if rule != "minmax"])
@pytest.mark.parametrize("outlier", [1e4, -1e4, 300.0])
def test_an_outlier_widens_no_grid_but_that_of_minmax(small, rule, outlier):
    images = pictures()
    clean = grids(small, images, scale_rule=rule)
    images[5, 0, 0, 0] = outlier
    for found, expected in zip(grids(small, images, scale_rule=rule), clean, strict=True):
        assert float(found.scale) <= 1.1 * float(expected.scale)
    assert float(grids(small, images)[0].scale) >= abs(outlier) / 255


def test_what_is_larger_by_less_is_spanned(small):
    images = pictures()
    images[5] *= 10
    grid = grids(small, images, scale_rule="robust")[0]
    assert top(grid) >= float(images.max()) - float(grid.scale)
    assert bottom(grid) <= float(images.min()) + float(grid.scale)


def test_mse_has_the_least_error_of_the_inputs_of_all_calls_and_images(small):
    images = pictures(40)
    for bits in (3, 4):
        grid = grids(small, images, bits=bits, scale_rule="mse")[0]
        found = float((fake_quantize(images, grid) - images).double().square().sum())
        x = images.double().numpy().ravel()[None]
        best = min(
            np.square(np.clip(np.rint(x / s[:, None]), low, low + 2**bits - 1) * s[:, None] - x)
            .sum(1)
            .min()
            for low in range(0, -(2**bits), -1)
            for s in [np.geomspace(0.05, 3, 200)]
        )
        assert found <= best * (1 + 1e-3)


def test_percentile_takes_the_nearest_rank(small):
    values = torch.arange(1000.0)[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    images = values.reshape(1, 1, 10, 100) - 500
    model = nn.Conv2d(1, 1, 1)
    grid = grids(nn.Sequential(model), images, scale_rule="percentile")[0]
    # The 0.1th and 99.9th percentile of -500 to 499 are the values after and before the extremes.
    assert float(grid.scale) * 255 == pytest.approx(2 * 498.5, rel=1e-3)


def test_a_histogram_has_the_counts_and_means_of_bins_however_it_is_filled():
    values = torch.randn(5000, generator=torch.Generator().manual_seed(1)) ** 5
    once, often = Histogram(), Histogram()
    once.add(values)
    for part in torch.split(values, 700):
        often.add(part)
    (means, counts), (again, same) = once.values(), often.values()
    np.testing.assert_allclose(means, again, rtol=1e-12)
    assert np.array_equal(counts, same)
    assert counts.sum() == 5000
    assert (np.diff(means) > 0).all()
    ordered = np.sort(values.double().numpy())
    restored = np.repeat(means, counts.astype(int))
    np.testing.assert_allclose(restored, ordered, rtol=2**-11)


class Named(nn.Module):
    """Calls a layer by keyword, and other numbers of times for other images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        for _ in range(1 + int(x.mean() > 1)):
            x = self.conv(input=x)
        return x.mean((2, 3))


def test_all_calls_count_however_the_layer_is_called():
    model, images = Named().eval(), pictures(6) + 3
    seen = [images, model.conv(images).detach()]
    low = min(0.0, *(float(x.min()) for x in seen))
    high = max(float(x.max()) for x in seen)
    for rule in ("minmax", "robust"):
        grid = grids(model, images, scale_rule=rule)[0]
        assert float(grid.scale) * 255 == pytest.approx(high - low, rel=1e-5)


class Idle(nn.Module):
    """Has a layer that it does not call."""

    def __init__(self):
        super().__init__()
        self.conv, self.idle = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.conv(x)


def test_a_layer_that_is_never_called_is_refused():
    model = Idle().eval()
    conv = find_layers(model, pictures(1))[0]
    layers = [conv, replace(conv, name="idle")]
    with pytest.raises(NetworkError, match="no calibration image calls layer 'idle'"):
        calibrate_activations(model, layers, pictures(), ActivationQuantizer(scale_rule="robust"))


def test_usual_images_are_all_but_those_of_outliers():
    images = pictures(9)
    images[4, 1, 2, 3] = 1e4
    assert torch.equal(usual_images(images), images[[0, 1, 2, 3, 5, 6, 7, 8]])
    assert torch.equal(usual_images(images[3:5]), images[3:5])
