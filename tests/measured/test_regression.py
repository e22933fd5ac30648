"""Regression says the same in both of its forms, and what textbooks say."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gp_emq.measured import _regression
from gp_emq.measured._regression import log_evidence, posterior


@pytest.fixture(params=[0, 1000], ids=["reduced", "whole"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_regression, "FEW", request.param)


def observations(count: int, effects: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng((count, effects))
    # Of a lower rank than there are effects, as where entries share most of what they may be.
    root = generator.standard_normal((effects, effects - 1))
    rows = generator.integers(-1, 2, (count, effects)).astype(float)
    noise = generator.uniform(1e-3, 10, count)
    return root @ root.T, rows, noise, generator.standard_normal(count)


@pytest.mark.parametrize(("count", "effects"), [(3, 5), (60, 7)])
@pytest.mark.usefixtures("form")
def test_the_evidence_is_the_density_of_a_normal_vector(count: int, effects: int) -> None:
    prior, rows, noise, observed = observations(count, effects)
    spread = rows @ prior @ rows.T + np.diag(noise)
    expected = multivariate_normal(cov=spread).logpdf(observed) + count * np.log(2 * np.pi) / 2
    assert log_evidence(prior, rows, noise, observed) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("count", "effects"), [(3, 5), (60, 7)])
@pytest.mark.usefixtures("form")
def test_what_is_known_is_the_conditional_of_a_joint_normal(count: int, effects: int) -> None:
    prior, rows, noise, observed = observations(count, effects)
    spread = rows @ prior @ rows.T + np.diag(noise)
    across = prior @ rows.T @ np.linalg.inv(spread)
    mean, covariance = posterior(prior, rows, noise, observed)
    np.testing.assert_allclose(mean, across @ observed, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(covariance, prior - across @ rows @ prior, rtol=1e-6, atol=1e-8)
