"""Means and variances in parts are those of the whole."""

import numpy as np
import pytest
import torch

from gp_emq.quantization import _moments
from gp_emq.quantization._moments import channel_means, channel_moments


@pytest.mark.parametrize("shape", [(5, 3), (7, 3, 4), (2, 3, 4, 5), (6, 3, 1, 2, 2)])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("at_once", [1, 50, 1 << 22])
def test_they_are_numpys(shape, axis, at_once, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moments, "AT_ONCE", at_once)
    values = 1000 + torch.randn(shape, generator=torch.Generator().manual_seed(0))
    rows = np.moveaxis(values.double().numpy(), axis, 0).reshape(shape[axis], -1)
    mean, variance = channel_moments(values, axis)
    np.testing.assert_allclose(mean, rows.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(variance, rows.var(axis=1, ddof=1), rtol=1e-9)
    assert torch.equal(channel_means(values, axis), mean)
    assert (mean.dtype, variance.dtype) == (torch.float64, torch.float64)


def test_of_nothing_there_are_none() -> None:
    mean, variance = channel_moments(torch.empty(0, 3, 4), 1)
    assert mean.shape == variance.shape == (3,)
    assert mean.isnan().all()
    assert variance.isnan().all()
