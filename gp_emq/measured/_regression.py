"""Bayesian linear regression, in the form that suits the number of observations.

The covariance of n observations of p effects is `X P Xᵀ + D`, with P that of the effects and D the
noise's, which is diagonal. For few observations it is factorized as it is; for many, what is
factorized is `I + Lᵀ Xᵀ D⁻¹ X L` with `P = L Lᵀ`, p × p, by the identities of Woodbury and
Sylvester, so that time grows with n in place of n³.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

FloatArray = NDArray[np.float64]

FEW = 400
"""Observations up to which their own covariance is factorized."""
_ROUNDING = 1e-12


def log_evidence(
    prior: FloatArray, rows: FloatArray, noise: FloatArray, observed: FloatArray
) -> float:
    """Return the logarithm of the density of what was observed, less a constant.

    Args:
        prior: Covariance of the effects, (p, p), whose mean is 0.
        rows: What is observed of them, (n, p).
        noise: Variance of each observation, (n,).
        observed: (n,).
    """
    if len(rows) <= FEW:
        factor = cho_factor(covariance(prior, rows, noise), lower=True)
        fit = float(observed @ cho_solve(factor, observed))
        return -fit / 2 - _half_log_determinant(factor)
    _, weighted, factor, noise = _reduced(prior, rows, noise)
    seen = weighted.T @ observed
    fit = float(observed @ (observed / noise) - seen @ cho_solve(factor, seen))
    return -fit / 2 - _half_log_determinant(factor) - float(np.log(noise).sum()) / 2


def posterior(
    prior: FloatArray, rows: FloatArray, noise: FloatArray, observed: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return mean (p,) and covariance (p, p) of the effects; arguments as for `log_evidence`."""
    if len(rows) <= FEW:
        factor = cho_factor(covariance(prior, rows, noise), lower=True)
        gain = cho_solve(factor, rows @ prior).T
        return gain @ observed, prior - gain @ rows @ prior
    root, weighted, factor, _ = _reduced(prior, rows, noise)
    mean = root @ cho_solve(factor, weighted.T @ observed)
    return mean, np.asarray(root @ cho_solve(factor, root.T))


def covariance(prior: FloatArray, rows: FloatArray, noise: FloatArray) -> FloatArray:
    """Return that of the observations, (n, n), with a little noise more against rounding."""
    whole: FloatArray = rows @ prior @ rows.T + np.diag(noise)
    tiny = _ROUNDING * np.trace(whole) / len(whole) + 1e-300
    return np.asarray(whole + tiny * np.eye(len(whole)))


def _reduced(
    prior: FloatArray, rows: FloatArray, noise: FloatArray
) -> tuple[FloatArray, FloatArray, tuple[FloatArray, bool], FloatArray]:
    """Return L, D⁻¹ X L, the factor of I + Lᵀ Xᵀ D⁻¹ X L, and the noise, with the same little."""
    values, vectors = np.linalg.eigh(prior)
    root = vectors * np.sqrt(values.clip(0))
    seen = rows @ root
    noise = noise + _ROUNDING * (np.square(seen).sum() + noise.sum()) / len(rows) + 1e-300
    weighted = seen / noise[:, None]
    return root, weighted, cho_factor(np.eye(len(root)) + seen.T @ weighted, lower=True), noise


def _half_log_determinant(factor: tuple[FloatArray, bool]) -> float:
    return float(np.log(np.diag(factor[0])).sum())
